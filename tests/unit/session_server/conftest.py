"""Lets the tests import the role's plugins as modules of the tree."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))
