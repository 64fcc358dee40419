"""Prepare a Prefect server for its deployments: create the work pools and the automations.

    python -m flows.stack.prepare [--local] [POOL...]

`nightshelf up` and the compose file run it. The pools are all of POOLS by default. With `--local`
all workers of the server are on this machine: pools that are not named are paused, because a pool
without a worker is shown in red, and runs whose process is gone are settled. PREFECT_API_URL names
the server, and NIGHTSHELF_WEBHOOK_URL the webhook that messages are posted to.
"""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import argparse
import logging
import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.process import ProcessWorker

from flows.stack.automations import create_automations
from flows.stack.settle import settle_runs

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

LOG = logging.getLogger("nightshelf")
POOLS = {
    "nightshelf": "Nights, backfills and the buttons: one machine's processes.",
    "nightshelf-gpu": "Training, on a machine with a GPU.",
}
PAUSED = " Paused by `nightshelf up`, as no worker polls it; `up --gpu` starts one."
WEBHOOK = "NIGHTSHELF_WEBHOOK_URL"


def prepare_server(pools: Collection[str] = tuple(POOLS), *, local: bool = False) -> None:
    """Create the missing work pools, and update the automations.

    With `local`, pause the pools that are not named, and settle the runs whose process is gone.
    """
    with get_client(sync_client=True) as client:
        for name in POOLS:
            if name in pools:
                _create_pool(client, name)
            elif local:
                _pause_pool(client, name)
    create_automations(os.environ.get(WEBHOOK))
    if local:
        for run in settle_runs():
            LOG.warning("settled %s: its process is gone", run)


def _create_pool(client: SyncPrefectClient, name: str) -> None:
    """Create a pool; one that exists is kept, as the user may have changed or paused it."""
    template, description = ProcessWorker.get_default_base_job_template(), POOLS[name]
    pool = WorkPoolCreate(name=name, type="process", description=description, base_job_template=template)
    try:
        client.create_work_pool(pool)
    except ObjectAlreadyExists:
        if client.read_work_pool(name).description == description + PAUSED:
            client.update_work_pool(name, WorkPoolUpdate(description=description, is_paused=False))


def _pause_pool(client: SyncPrefectClient, name: str) -> None:
    """Pause a pool, if there is one, and note that it was not the user."""
    try:
        if not client.read_work_pool(name).is_paused:
            description = POOLS[name] + PAUSED
            client.update_work_pool(name, WorkPoolUpdate(description=description, is_paused=True))
    except ObjectNotFound:
        return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m flows.stack.prepare", description=__doc__)
    parser.add_argument("pools", nargs="*", metavar="POOL", help=f"of {', '.join(POOLS)}; default: all")
    parser.add_argument("--local", action="store_true", help="all workers are on this machine")
    arguments = parser.parse_args()
    prepare_server(arguments.pools or tuple(POOLS), local=arguments.local)
