"""A payload that shows why pickles are rejected."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


class Payload:
    """An object whose unpickling writes the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.canary}'",)
