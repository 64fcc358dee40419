"""The paths of the repository and of its test worlds."""

from __future__ import annotations

import os
from pathlib import Path

WORLDS = Path(__file__).resolve().parent
ROOT = WORLDS.parents[1]
IMPORTABLE = os.pathsep.join([str(ROOT), str(WORLDS.parent)])
"""PYTHONPATH of a child process that imports the rooms and the worlds."""
