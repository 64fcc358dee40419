"""What a Prefect server needs before its deployments: the work pools and the automations.

    python -m flows.stack.prepare

`nightshelf up` and the compose file run it. The server is the one of PREFECT_API_URL; the webhook that
messages are posted to is NIGHTSHELF_WEBHOOK_URL.
"""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import os

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

from flows.stack.automations import create_automations

POOLS = {
    "nightshelf": "Nights, backfills and the buttons: one machine's processes.",
    "nightshelf-gpu": "Training, on a machine with a GPU.",
}
WEBHOOK = "NIGHTSHELF_WEBHOOK_URL"


def prepare_server() -> None:
    """Make the work pools that are missing, and bring the automations up to date."""
    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        for name, description in POOLS.items():
            pool = WorkPoolCreate(
                name=name, type="process", description=description, base_job_template=template
            )
            try:
                client.create_work_pool(pool)
            except ObjectAlreadyExists:  # as a person may have changed it
                continue
    create_automations(os.environ.get(WEBHOOK))


if __name__ == "__main__":
    prepare_server()
