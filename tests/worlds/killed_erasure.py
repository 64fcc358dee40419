"""Forget users of a store in a process that kills itself at a step on files; prints how many there were."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

STEPS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "ctypes.dlsym")


def main() -> None:
    from tasks.erasure.forget import erase
    from tasks.store.layout import Store

    store, last, users = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    steps = 0

    def step(event: str, given: tuple[object, ...]) -> None:
        nonlocal steps
        writes = event != "open" or (isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR))
        if event in STEPS and writes:
            steps += 1
            if steps == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(step)
    erase(Store(store), users)
    print(steps)


main()
