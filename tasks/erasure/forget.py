"""Removing users from a store, everywhere and for good: what `nightshelf forget` does.

The order makes a crash harmless. First they are put on the list, as not yet removed: from then on none of
their rows is taken in, and no dataset has them. Then what was made of their events goes, then the events, and
last the note that the removal has not ended. The same command again does what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tasks.erasure.interactions import erase_interactions
from tasks.erasure.releases import erase_releases
from tasks.erasure.runs import erase_pages, erase_runs, erase_studies, studies_held
from tasks.erasure.wanted import Change, Wanted, unique
from tasks.interactions.forgotten import Forgotten, read_forgotten, remember, settle
from tasks.monitoring.metrics_file import write_metrics
from tasks.release.retention import clean
from tasks.runtime.errors import StoreError, StoreLockedError, UserError
from tasks.runtime.progress import Report, silent
from tasks.store.layout import LOCK_WAIT, Store

_NAMED: Final = 5  # unknown users that the message names


def read_ids(path: Path) -> list[str]:
    """Return the ids in a file of text, one a line; UserError when it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--file {path}: cannot be read as UTF-8 text: {error}") from None
    return [line.removesuffix("\r") for line in lines if line.removesuffix("\r")]


def survey(
    store: Store, user_ids: Sequence[str], *, allow_unknown: bool = False, report: Report = silent
) -> list[Change]:
    """Return what a removal would change, and change nothing.

    Raises
    ------
    UserError
        If no users are given; or one is neither in the store nor on the list, unless `allow_unknown`.
    StoreLockedError
        If another writer, a run or a search is at work.
    StoreError
        If a release is damaged.
    """
    with _alone(store, report):
        wanted = _wanted(store, user_ids)
        changes = _changed(store, wanted, dry_run=True, report=report)
        _require_known(wanted, read_forgotten(store), allow_unknown=allow_unknown)
    return changes


def erase(
    store: Store, user_ids: Sequence[str], *, allow_unknown: bool = False, report: Report = silent
) -> list[Change]:
    """Remove users from the store and keep them out from now on; return what that changed.

    Raises what `survey` raises; nothing is changed then.
    """
    with _alone(store, report):
        wanted = _wanted(store, user_ids)
        _changed(store, wanted, dry_run=True, report=report)
        _require_known(wanted, read_forgotten(store), allow_unknown=allow_unknown)
        wanted.listed = remember(store, wanted.ids).keyed()
        clean(store)
        changes = _changed(store, wanted, dry_run=False, report=report)
        settle(store, wanted.ids)
        write_metrics(store)
    return changes


def _wanted(store: Store, user_ids: Sequence[str]) -> Wanted:
    ids = unique(user_ids)
    if not ids:
        raise UserError("expected the ids of users to forget, got none")
    known = read_forgotten(store)
    digests = {known.keyed().digest(one) for one in ids}
    return Wanted(ids, known.keyed(known.digests | digests))


def _changed(store: Store, wanted: Wanted, *, dry_run: bool, report: Report) -> list[Change]:
    """Go through all places; where that is a dry run, the events first: they say whose items are whose."""
    places = [erase_releases, erase_pages, erase_runs, erase_studies, erase_interactions]
    if dry_run:
        places = [places[-1], *places[:-1]]
    changes: list[Change] = []
    for number, place in enumerate(places):
        report(f"forget: {place.__name__.removeprefix('erase_')}", number, len(places))
        changes += place(store, wanted, dry_run=dry_run)
    return sorted(changes, key=lambda change: change.place)


@contextmanager
def _alone(store: Store, report: Report) -> Iterator[None]:
    """Hold the store's lock while no run or search is at work, which would write users down again."""
    if not store.root.is_dir():
        raise StoreError(f"there is no store in {store.root}")
    with store.lock("forgetting users", LOCK_WAIT, report), studies_held(store):
        at_work = [f"the run for {day} ({who})" for day, who in store.dates_at_work().items()]
        if at_work:
            raise StoreLockedError(
                f"nothing is forgotten while runs are at work: wait for {', '.join(at_work)}"
            )
        yield


def _require_known(wanted: Wanted, known: Forgotten, *, allow_unknown: bool) -> None:
    listed = known.keyed()
    unknown = [one for one in wanted.ids if one not in wanted.found and not listed.holds(one)]
    if not unknown or allow_unknown:
        return
    named = ", ".join(repr(one) for one in unknown[:_NAMED])
    more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
    raise UserError(
        f"unknown users, so nothing was changed: {named}{more}; ids are compared as they are in the tables "
        "(--allow-unknown keeps such users out of future logs)"
    )
