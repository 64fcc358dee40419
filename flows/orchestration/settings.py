"""What Prefect reads when it is imported, set where nobody said otherwise; flows import this before it."""

from __future__ import annotations

import os

QUIET = {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # a first temporary server needs more than 20
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # nothing is sent to anyone
    "DO_NOT_TRACK": "1",
}

for name, value in QUIET.items():
    os.environ.setdefault(name, value)
