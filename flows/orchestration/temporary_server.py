"""Prefect's temporary server, which Ctrl-C at the terminal must not end before the run has ended."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import signal
import subprocess
from typing import Any

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings

TERMINAL = {signal.SIGINT, signal.SIGHUP}
"""Signals that a terminal sends to a command and its children alike."""


class DeafServer(SubprocessASGIServer):
    """The temporary server, deaf to the terminal: the command it belongs to ends it, after the run."""

    def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL)  # children inherit the mask
        try:
            return super()._run_uvicorn_command()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def shield_temporary_server() -> None:
    """Make Prefect start its temporary server, if it needs one, deaf to the terminal."""
    if not get_current_settings().api.url and None not in SubprocessASGIServer._instances:
        DeafServer()  # registers itself as the one that Prefect uses
