"""Prefect's temporary server, which Ctrl-C at the terminal must not end before the run has ended."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import signal
import subprocess
from typing import Any

from prefect.settings import get_current_settings

TERMINAL = {signal.SIGINT, signal.SIGHUP}
"""Signals that a terminal sends to a command and its children alike."""


def shield_temporary_server() -> None:
    """Make Prefect start its temporary server, if it needs one, deaf to the terminal.

    Prefect's server takes as long to import as the rest of a flow: a run with a server does without.
    """
    if get_current_settings().api.url:
        return
    from prefect.server.api.server import SubprocessASGIServer

    class DeafServer(SubprocessASGIServer):
        """The temporary server: the command it belongs to ends it, after the run."""

        def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
            before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL)  # children inherit the mask
            try:
                return super()._run_uvicorn_command()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    if None not in SubprocessASGIServer._instances:
        DeafServer()  # registers itself as the one that Prefect uses
