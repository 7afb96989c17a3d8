"""Tables and figures start fast: a study has hundreds of them, and importing torch takes longer than most of them work."""

import ast
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
LIGHT = ("plot_*", "table_*", "tabulate_*", "summarize_*", "score_cnns", "score_kinds", "count_samples", "export_latex")


def imports(script: Path) -> str:
    """The import statements at the head of a script."""
    return "\n".join(ast.unparse(node) for node in ast.parse(script.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom))


def test_tables_and_figures_import_no_torch() -> None:
    scripts = sorted(path for pattern in LIGHT for path in SCRIPTS.glob(f"{pattern}.py"))
    assert len(scripts) >= 20
    tried = "".join(f"{imports(script)}\nif 'torch' in sys.modules: sys.exit({script.name!r})\n" for script in scripts)
    done = subprocess.run([sys.executable, "-c", f"import sys\n{tried}"], text=True, capture_output=True, check=False)
    assert not done.returncode, f"{done.stderr.strip()} imports torch"
