"""Calls in a child that is killed at one of its changes to files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any


def killed_at(step: int, act: Callable[[], object]) -> bool:
    """Run `act` in a child that is killed at its `step`-th change to a file; False if it finished."""
    child = os.fork()
    if child == 0:
        changes = 0

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal changes
            writes = (
                event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            )
            if writes or event in {"os.rename", "os.remove", "os.rmdir", "os.chmod"}:
                changes += 1
                if changes == step:
                    os._exit(9)

        sys.addaudithook(count)
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
