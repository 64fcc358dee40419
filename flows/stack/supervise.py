"""Start the parts of a stack again that have ended, while it is up.

    python -m flows.stack.supervise FOLDER

`nightshelf up` starts it last, `nightshelf down` ends it first. It imports neither Prefect nor
anything else of size, and looks at the parts every few seconds.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

from flows.stack.processes import (
    MARK,
    SUPERVISOR,
    Part,
    Stack,
    StackError,
    exclusive,
    read_stack,
    start_part,
    write_stack,
)

LOG = logging.getLogger("nightshelf")
PAUSE = 5.0  # seconds between two looks
LONGEST = 300.0  # seconds before another try, at most; they double with each
LASTING = 600.0  # seconds after which a part counts as well again


class Supervisor:
    """The tries to start each part again, and when the next is due."""

    def __init__(self, folder: Path, token: str) -> None:
        self.folder = folder
        self.token = token
        self.tries: dict[str, int] = {}
        self.due: dict[str, float] = {}

    def look(self) -> bool:
        """Start the parts that have ended, those that fail again and again later; False if it is down."""
        try:
            with exclusive(self.folder):  # not while `up` or `down` is at it
                stack = read_stack(self.folder)
                if stack is None or stack.token != self.token:
                    return False
                for index, part in enumerate(stack.parts):
                    if part.name != SUPERVISOR and part.process() is None and self._is_due(part):
                        self._start(stack, index)
        except StackError:
            return True
        return True

    def _is_due(self, part: Part) -> bool:
        return bool(part.arguments) and time.monotonic() >= self.due.get(part.name, 0.0)

    def _start(self, stack: Stack, index: int) -> None:
        part = stack.parts[index]
        lasted = time.time() - part.created >= LASTING
        tries = 0 if lasted else self.tries.get(part.name, 0)
        self.tries[part.name] = tries + 1
        self.due[part.name] = time.monotonic() + min(PAUSE * 2**tries, LONGEST)
        stack.parts[index] = start_part(self.folder, part.name, part.arguments, os.environ, append=True)
        write_stack(self.folder, stack)
        LOG.warning("the %s had ended and was started again (try %d)", part.name, tries + 1)


def main(folder: Path) -> None:
    """Watch the stack of a folder until it is down."""
    supervisor = Supervisor(folder, os.environ[MARK])
    while supervisor.look():
        time.sleep(PAUSE)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s")
    main(Path(sys.argv[1]))
