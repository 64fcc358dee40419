"""Move the pointer that readers follow: to a release by its id or date, or to the one before."""

from __future__ import annotations

from datetime import date

from tasks.monitoring.metrics_file import write_metrics
from tasks.release.releases import Release, release_of, releases
from tasks.runtime.errors import UserError
from tasks.store.layout import Store
from tasks.store.runs import last_night


def release_id_of(store: Store, text: str, *, refused: bool = False) -> str:
    """Return the id that is meant by an id or a date: the release of a date that was published last.

    With `refused`, the last night of the date is meant. UserError if there is none of that date.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return text
    if refused:
        night = last_night(store, day)
        if night is None:
            raise UserError(f"there is no night for {day} in {store.root}: run {day}")
        return f"{day}-{night.run_id}"
    if release := release_of(store, day):
        return release.release_id
    whole = {str(release.as_of) for release in releases(store) if not release.problem}
    dates = ", ".join(sorted(whole)) or "none"
    raise UserError(f"no release of {day}; known dates: {dates}")


def point_readers(store: Store, to: str | None, purpose: str) -> tuple[str | None, Release]:
    """Point readers to a release, by default the previously active one; return old id and release.

    The files of the release are checked first, and nothing is deleted. The old id is None if the
    pointer was damaged; naming a release repairs it.

    Raises
    ------
    StoreError
        If nothing is published, another process is writing, the release is missing, damaged or
        already active, or the pointer is damaged and no release is named.
    """
    from tasks.release import publish as release

    # Checked before the lock, which would leave a file in a folder that is no store:
    release.pointer_to_roll_back(store, to)
    with store.lock(purpose):
        before = release.pointer_to_roll_back(store, to)
        target = release.rollback(store, to)
        write_metrics(store)
        if store.reports.is_dir():
            from tasks.report.releases_page import write_releases_page

            write_releases_page(store)
        return before.release_id if before else None, target
