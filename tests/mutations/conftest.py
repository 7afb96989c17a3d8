"""Puts this folder, whose modules the tests import, on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
