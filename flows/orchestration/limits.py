"""One run of a date at a time, by a named limit on the Prefect server, above the store's lock.

The limit has one slot, which a run takes and keeps renewing. The slot frees itself `FREED_AFTER`
seconds after the last renewal, so a killed run does not block the next one. This is Prefect's slot
decay, which the server keeps in its database. Prefect's leases are no alternative: the server keeps
them in memory. When they are lost (on a restart, or with the temporary server of a run that has no
other), the slot stays taken for ever.

A limit is deleted once the server has written what the run told it. Prefect reads a limit before it
deletes it, in one transaction: with SQLite that is refused while another one writes, which was nearly
always so at a run's end, and Prefect's client asked again after two seconds. What is worse, SQLAlchemy
leaves the refused statement open until it is collected as garbage, by the thread of the server's
event loop, which then waits for SQLite's mutex of that connection: for a minute in which the server
answered nobody, where another statement of the connection waited for a transaction of that loop.
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
from contextlib import AbstractContextManager, contextmanager, suppress
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
FREED_AFTER = 60.0  # seconds until a killed run no longer blocks its date
RENEWED_EVERY = 15.0
PAUSE = 1.0
SETTLED_AFTER = 2.0  # seconds in which a server has written what a run told it at its end
TURN_WAIT = 24 * 3600.0  # seconds that a scheduled night waits for others, which started late


def limit_name(store: Path, as_of: date | str) -> str:
    """Return the name of a date's limit; every worker must see the store under the same path."""
    return f"nightshelf {as_of} {hashlib.sha256(str(store.absolute()).encode()).hexdigest()[:8]}"


def freed_after() -> float:
    """Return the seconds after which the limit of a run that was just killed is free."""
    return FREED_AFTER + RENEWED_EVERY


@contextmanager
def hold_date_limit(store: Path, as_of: date | str, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the date's limit; create it if missing, and delete it at the end.

    A taken limit is an error after `wait` seconds; that of a killed run frees itself within
    `freed_after()`.

    Raises
    ------
    StoreLockedError
        If another run of this date holds the limit.
    """
    name = limit_name(store, as_of)
    with get_client(sync_client=True) as client:
        until, waiting = time.monotonic() + wait, False
        while not _acquire(client, name):
            busy = (
                f"another run for {as_of} is active: it holds the limit '{name}' of the "
                f"Prefect server; a killed run holds it for {FREED_AFTER:.0f} s at most"
            )
            if time.monotonic() >= until:
                raise StoreLockedError(busy)
            if not waiting:
                LOG.info("waiting: %s", busy)
            waiting = True
            time.sleep(PAUSE)
    stop = threading.Event()
    context = contextvars.copy_context()  # the thread uses the same server
    renewing = threading.Thread(target=context.run, args=(_keep_renewing, name, stop), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        stop.set()
        renewing.join()
        time.sleep(SETTLED_AFTER)  # as the docstring of this module tells
        _delete(name)


def hold_turn(store: Path) -> AbstractContextManager[None]:
    """Hold the turn of the scheduled nights of a store, of which several may start late at once."""
    return hold_date_limit(store, "a scheduled night", wait=TURN_WAIT)


def _acquire(client: SyncPrefectClient, name: str) -> bool:
    """Take the limit's only slot if it is free; return whether it was.

    The limit is read first: even a refused request updates it, which restarts its decay.
    """
    try:
        limit = client.read_global_concurrency_limit_by_name(name)
        renewed = limit.updated or datetime.now(UTC)
        if limit.active_slots and (datetime.now(UTC) - renewed).total_seconds() <= FREED_AFTER:
            return False
    except ObjectNotFound:
        _create(client, name)
    try:
        response = client.increment_concurrency_slots([name], slots=1, mode="concurrency")
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.LOCKED:
            return False
        raise
    return bool(response.json())  # empty: its last holder deleted it meanwhile


def _create(client: SyncPrefectClient, name: str) -> None:
    limit = GlobalConcurrencyLimitCreate(name=name, limit=1, slot_decay_per_second=1 / FREED_AFTER)
    with suppress(ObjectAlreadyExists):
        client.create_global_concurrency_limit(limit)


def _keep_renewing(name: str, stop: threading.Event) -> None:
    """Renew the limit at intervals until stopped, even if the server is away for a time."""
    with get_client(sync_client=True) as client:
        while not stop.wait(RENEWED_EVERY):
            try:
                client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active_slots=1))
            except (httpx.HTTPError, ObjectNotFound) as error:
                LOG.warning(
                    "the limit '%s' could not be renewed; the store's lock still holds: %s", name, error
                )


def _delete(name: str) -> None:
    """Delete a limit while holding it, so that nobody takes a slot that is about to vanish."""
    try:
        with get_client(sync_client=True) as client:
            client.delete_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        pass
    except httpx.HTTPError as error:
        LOG.warning("the limit '%s' was not deleted, but frees itself in a minute: %s", name, error)
