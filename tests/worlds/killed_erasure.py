"""A program that forgets users and kills itself at a file operation; prints their number."""

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

    def step(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal steps
        writes = event != "open" or (
            isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if event in STEPS and writes:
            steps += 1
            if steps == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(step)
    erase(Store(store), users)
    print(steps)


main()
