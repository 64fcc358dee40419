"""Defaults for settings that Prefect reads on import; flows import this module before Prefect."""

from __future__ import annotations

import os

DEFAULTS = {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # the first temporary server needs over 20
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # send nothing to anyone
    "DO_NOT_TRACK": "1",
}

for name, value in DEFAULTS.items():
    os.environ.setdefault(name, value)
