"""One run of a date at a time, by a named limit on the Prefect server; the store's own lock holds below it.

The limit is one slot that a run takes and goes on renewing. It frees itself `FREED_AFTER` seconds after the
last renewal, so that a killed run does not block the next one: that is Prefect's slot decay, kept in the
server's database. Prefect's leases would not do: they are kept in the server's memory, and the slot of a
lease that is lost with it (a restart, or the temporary server of a run without one) stays taken for ever.
"""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import contextvars
import hashlib
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from tasks.runtime.errors import StoreLockedError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

LOG = logging.getLogger("nightshelf")
FREED_AFTER = 60.0  # seconds after which a run that was killed blocks its date no longer
RENEWED_EVERY = 15.0
PAUSE = 1.0


def limit_name(store: Path, as_of: date) -> str:
    """Return the name of the limit of a store's date; the same store elsewhere has the same path."""
    return f"nightshelf {as_of} {hashlib.sha256(str(store.absolute()).encode()).hexdigest()[:8]}"


@contextmanager
def only_run_of(store: Path, as_of: date, *, wait: bool = False) -> Iterator[None]:
    """Hold the date's limit, made if it is missing and removed at the end.

    `wait` gives a run that was killed the time to free it; else a limit that is taken is an error at once.

    Raises
    ------
    StoreLockedError
        If another run of this date holds it.
    """
    name = limit_name(store, as_of)
    with get_client(sync_client=True) as client:
        until = time.monotonic() + (FREED_AFTER + RENEWED_EVERY if wait else 0)
        while not _taken(client, name):
            if time.monotonic() >= until:
                raise StoreLockedError(
                    f"{as_of} is being run by another run already: it holds the limit '{name}' of the "
                    f"Prefect server; a run that was killed holds it for {FREED_AFTER:.0f} s at most"
                )
            time.sleep(PAUSE)
    stop = threading.Event()
    context = contextvars.copy_context()  # the thread asks the same server
    renewing = threading.Thread(target=context.run, args=(_renew, name, stop), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        stop.set()
        renewing.join()
        _remove(name)


def _taken(client: SyncPrefectClient, name: str) -> bool:
    """Take the one slot of a limit if it is free.

    It is looked at first: even a refusal counts as a change of the limit, from which its decay starts anew.
    """
    try:
        found = client.read_global_concurrency_limit_by_name(name)
        renewed = found.updated or datetime.now(UTC)
        if found.active_slots and (datetime.now(UTC) - renewed).total_seconds() <= FREED_AFTER:
            return False
    except ObjectNotFound:
        _make(client, name)
    try:
        response = client.increment_concurrency_slots([name], slots=1, mode="concurrency")
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.LOCKED:
            return False
        raise
    return bool(response.json())  # empty: its last holder removed it meanwhile


def _make(client: SyncPrefectClient, name: str) -> None:
    limit = GlobalConcurrencyLimitCreate(name=name, limit=1, slot_decay_per_second=1 / FREED_AFTER)
    with suppress(ObjectAlreadyExists):
        client.create_global_concurrency_limit(limit)


def _renew(name: str, stop: threading.Event) -> None:
    """Set the time of the limit's last change to now, again and again, also after a server was away."""
    with get_client(sync_client=True) as client:
        while not stop.wait(RENEWED_EVERY):
            try:
                client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active_slots=1))
            except (httpx.HTTPError, ObjectNotFound) as error:
                LOG.warning(
                    "the limit '%s' could not be renewed; the store's lock still holds: %s", name, error
                )


def _remove(name: str) -> None:
    """Remove a limit while it is held, so that nobody takes a slot that is about to vanish."""
    try:
        with get_client(sync_client=True) as client:
            client.delete_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        pass
    except httpx.HTTPError as error:
        LOG.warning("the limit '%s' was not removed, it frees itself in a minute: %s", name, error)
