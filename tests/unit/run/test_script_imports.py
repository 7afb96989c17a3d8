"""What the scripts of rules import: seconds at the start of every job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[3] / "workflow" / "scripts"
WITHOUT_THE_MODEL = ("train_cnns", "compute_saliency", "check_saliency", "search_taxonomies")
WITHOUT_TORCH = (
    *(
        "draw_samples",
        "label_candidates",
        "count_samples",
        "describe_run",
        "score_cnns",
        "score_kinds",
        "export_latex",
    ),
    *sorted(
        path.stem
        for kind in ("plot", "table", "tabulate", "summarize")
        for path in SCRIPTS.glob(f"{kind}_*.py")
    ),
)
"""Tables and figures: a study has hundreds of them, and importing torch takes longer than most of
them work.
"""


def test_jobs_import_no_more_than_they_need() -> None:
    code = f"""
import ast, sys
def load(script):
    tree = ast.parse(open(f"{SCRIPTS}/{{script}}.py").read())
    body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    exec(compile(ast.Module(body, []), script, "exec"), {{}})
for script in {WITHOUT_TORCH}:
    load(script)
    assert "torch" not in sys.modules, f"{{script}} imports torch"
for script in {WITHOUT_THE_MODEL}:
    load(script)
    assert "transformers" not in sys.modules, f"{{script}} imports transformers"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]
