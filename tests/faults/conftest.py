"""Puts the tiny models of the unit tests, and this folder for the processes that are started, on
the path.
"""

import os
import sys
from pathlib import Path

FOLDERS = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "unit")]
sys.path[:0] = FOLDERS
os.environ["PYTHONPATH"] = os.pathsep.join([*FOLDERS, os.environ.get("PYTHONPATH", "")])
