"""The permanent removal of users from a whole store, as `nightshelf forget` does it.

The order makes a crash harmless. First the users are listed as pending: from then on none of their
rows is ingested, and no dataset has them. Then everything derived from their events is removed,
then the events, and last the pending mark. After a crash, the same command completes the removal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tasks.erasure.interactions import erase_interactions
from tasks.erasure.releases import erase_releases
from tasks.erasure.runs import erase_pages, erase_runs, erase_studies, hold_studies
from tasks.erasure.subjects import Change, Subjects, unique
from tasks.interactions.forgotten import Forgotten, read_forgotten, record_pending, record_removed
from tasks.monitoring.metrics_file import write_metrics
from tasks.release.retention import clean
from tasks.runtime.errors import StoreError, StoreLockedError, UserError
from tasks.runtime.progress import Report, silent
from tasks.store.layout import LOCK_WAIT, Store

_NAMED: Final = 5  # unknown users that the message lists


def read_ids(path: Path) -> list[str]:
    """Return the ids in a text file, one per line; UserError if it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--file {path}: cannot be read as UTF-8 text: {error}") from None
    return [line.removesuffix("\r") for line in lines if line.removesuffix("\r")]


def survey(
    store: Store, user_ids: Sequence[str], *, allow_unknown: bool = False, report: Report = silent
) -> list[Change]:
    """Return what a removal would change, without changing anything.

    Raises
    ------
    UserError
        If no ids are given; or if a user is neither in the store nor on the list, unless
        `allow_unknown`.
    StoreLockedError
        If another writer, a run or a search is active.
    StoreError
        If a release is damaged.
    """
    with _require_no_activity(store, report):
        subjects = _subjects(store, user_ids)
        changes = _apply(store, subjects, dry_run=True, report=report)
        _require_known(subjects, read_forgotten(store), allow_unknown=allow_unknown)
    return changes


def erase(
    store: Store, user_ids: Sequence[str], *, allow_unknown: bool = False, report: Report = silent
) -> list[Change]:
    """Remove users from the store and block them from now on; return the changes.

    Raises the errors of `survey`, before anything is changed.
    """
    with _require_no_activity(store, report):
        subjects = _subjects(store, user_ids)
        _apply(store, subjects, dry_run=True, report=report)
        _require_known(subjects, read_forgotten(store), allow_unknown=allow_unknown)
        subjects.listed = record_pending(store, subjects.ids).keyed()
        clean(store)
        changes = _apply(store, subjects, dry_run=False, report=report)
        record_removed(store, subjects.ids)
        write_metrics(store)
    return changes


def _subjects(store: Store, user_ids: Sequence[str]) -> Subjects:
    ids = unique(user_ids)
    if not ids:
        raise UserError("expected the ids of users to forget, got none")
    known = read_forgotten(store)
    digests = {known.keyed().digest(user_id) for user_id in ids}
    return Subjects(ids, known.keyed(known.digests | digests))


def _apply(store: Store, subjects: Subjects, *, dry_run: bool, report: Report) -> list[Change]:
    """Run every step; a dry run reads the events first, since later steps need the users' items."""
    steps = [erase_releases, erase_pages, erase_runs, erase_studies, erase_interactions]
    if dry_run:
        steps = [steps[-1], *steps[:-1]]
    changes: list[Change] = []
    for number, step in enumerate(steps):
        report(f"forget: {step.__name__.removeprefix('erase_')}", number, len(steps))
        changes += step(store, subjects, dry_run=dry_run)
    return sorted(changes, key=lambda change: change.part)


@contextmanager
def _require_no_activity(store: Store, report: Report) -> Iterator[None]:
    """Hold the store's lock, unless an active run or search could write the users again."""
    if not store.root.is_dir():
        raise StoreError(f"expected a store in {store.root}, got none")
    with store.lock("forgetting users", LOCK_WAIT, report), hold_studies(store):
        active = [f"the run for {day} ({holder})" for day, holder in store.running_dates().items()]
        if active:
            raise StoreLockedError(
                f"users cannot be forgotten while a run is active: wait for {', '.join(active)}"
            )
        yield


def _require_known(subjects: Subjects, known: Forgotten, *, allow_unknown: bool) -> None:
    listed = known.keyed()
    unknown = [
        user_id for user_id in subjects.ids if user_id not in subjects.matched and not listed.holds(user_id)
    ]
    if not unknown or allow_unknown:
        return
    examples = ", ".join(repr(user_id) for user_id in unknown[:_NAMED])
    more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
    raise UserError(
        f"unknown users, so nothing was changed: {examples}{more}; expected ids as they are in the tables "
        "(--allow-unknown also blocks users the store has never seen)"
    )
