"""Marks every test outside tests/unit with the name of its folder, and orders them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
LONGEST = (
    "workflow/test_sources.py",
    "workflow/test_recompute.py",
    "workflow/test_crossed.py",
    "workflow/test_localization.py",
    "workflow/test_from_elsewhere.py",
    "workflow/test_resume.py",
    "workflow/test_inputs.py",
    "faults/test_extraction_faults.py",
    "workflow/test_options.py",
    "workflow/test_plan.py",
    "mutations/test_input_mutations.py",
)
"""Files that take longest, longest first, so that two workers end together. The first needs no
finished study: one worker has it to do while the other one runs the study that most files share.
"""

if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    # Threads of several workers on one core wait for one another; libraries read this on import.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, str(max(1, (os.cpu_count() or 1) // workers)))

# Triton's interpreter runs the kernel where there is no GPU; where there is one, TRITON_INTERPRET=0
# tests the compiled kernel. Triton reads it on import, and importing torch may import triton.
os.environ.setdefault("TRITON_INTERPRET", "1")

# No test fails because the machine is busy.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in tests/<folder>/, so that `-m <folder>` chooses it; put long files first."""
    ranks = {HERE / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))
    for item in items:
        if item.path.is_relative_to(HERE):
            folder = item.path.relative_to(HERE).parts[0]
            if folder not in ("unit", item.path.name):
                item.add_marker(folder)
