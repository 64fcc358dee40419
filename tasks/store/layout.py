"""The store: the folder that holds everything Nightshelf keeps; its layout and its locks."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tasks.runtime.errors import StoreError, StoreLockedError
from tasks.runtime.progress import Report, silent
from tasks.store.files import readable, sync, writing
from tasks.store.locks import PROBE_SECONDS, hold_lock, holder_text
from tasks.store.names import checked_date, checked_name, split_release_id

LOCK_WAIT: Final = 3600.0
"""Seconds that a night waits for another writer, which may be ingesting a long log."""


@dataclass(frozen=True)
class Store:
    """The paths of a store; each lies inside `root`, or StoreError is raised."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(os.path.abspath(self.root)))  # noqa: PTH100 - resolve() would replace a root that is a link

    @property
    def ingests(self) -> Path:
        """Committed ingest manifests."""
        return self.inside("ingests")

    @property
    def interactions(self) -> Path:
        """Accepted events, by event_date."""
        return self.inside("interactions")

    @property
    def quarantine(self) -> Path:
        """Quarantined rows, by event_date."""
        return self.inside("quarantine")

    @property
    def runs(self) -> Path:
        """Folders of runs, by as_of and run id; `RunFolder` gives the paths inside."""
        return self.inside("runs")

    @property
    def releases(self) -> Path:
        """Published releases."""
        return self.inside("releases")

    @property
    def reports(self) -> Path:
        """Reports about releases, each kept as long as its release."""
        return self.inside("reports")

    @property
    def champions(self) -> Path:
        """For each release, what the next night is compared with."""
        return self.inside("champions")

    @property
    def pointer(self) -> Path:
        """current.json, which names the active release."""
        return self.inside("current.json")

    def ingest(self, ingest_id: str) -> Path:
        """Return the path of an ingest's manifest."""
        return self.inside("ingests", f"{checked_name('ingest id', ingest_id)}.json")

    def tuning(self, study: str) -> Path:
        """Return the folder of a search for settings."""
        return self.inside("tuning", checked_name("study", study))

    def report(self, release_id: str) -> Path:
        """Return the page about a release, which outlives its run."""
        return self.inside("reports", "{}-{}.html".format(*split_release_id(release_id)))

    @property
    def releases_page(self) -> Path:
        """The page about all releases."""
        return self.inside("reports", "index.html")

    def report_docs(self, release_id: str) -> Path:
        """Return the Data Docs beside the page about a release, kept as long as that."""
        return self.inside("reports", "{}-{}".format(*split_release_id(release_id)))

    def release(self, release_id: str) -> Path:
        """Return the folder of a release."""
        return self.inside("releases", "{}-{}".format(*split_release_id(release_id)))

    def inside(self, *parts: str) -> Path:
        """Return a path below the root; StoreError if a link in it points outside the store."""
        path = self.root.joinpath(*parts)
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(os.path.realpath(self.root)):
            raise StoreError(f"expected a path inside the store {self.root}, but {path} points to {real}")
        return path

    def create(self) -> Store:
        """Create missing folders and check that the store is writable; StoreError if it is not."""
        if "?" in str(self.root):  # DuckDB would put a database's .wal file elsewhere
            raise StoreError(f"expected a store whose path has no '?', got {self.root}")
        with writing(self.root):
            folders = (self.ingests, self.interactions, self.quarantine, self.runs, self.releases)
            missing = [folder for folder in folders if not folder.is_dir()]
            for folder in missing:
                folder.mkdir(parents=True, exist_ok=True)
            if missing:
                sync(self.root)  # a commit into a folder is safe only if the folder is on disk
            probe = self.root / f".{secrets.token_hex(6)}.tmp"
            probe.write_bytes(b"writable")
            probe.unlink(missing_ok=True)  # a concurrent clean-up may have removed it already
        return self

    def require_free(self, needed: int) -> None:
        """Raise StoreError unless the store's disk has `needed` bytes free."""
        with writing(self.root):
            free = shutil.disk_usage(self.root).free
        if free < needed:
            raise StoreError(
                f"not enough disk space in {self.root}: needed {readable(needed)}, free {readable(free)}"
            )

    @contextmanager
    def lock(self, purpose: str, wait: float = 0.0, report: Report = silent) -> Iterator[None]:
        """Hold the store's writer lock; after `wait` seconds StoreLockedError names its holder.

        It is held while logs are ingested and while releases are published or removed, not while a
        night computes. The operating system drops the lock when a process dies; the file beside it
        only informs.
        """
        name = f"the store {self.root}"
        with hold_lock(self.inside(".lock"), self._holder(), name, purpose, wait=wait, report=report):
            yield

    @contextmanager
    def date_lock(self, as_of: dt.date | str, purpose: str) -> Iterator[None]:
        """Hold the lock of a date, as a run does from start to end so that no second run starts.

        If another process holds it, StoreLockedError is raised at once and names the holder.
        """
        lock = self._date_lock(as_of)
        with writing(self.root):
            lock.parent.mkdir(exist_ok=True)
        name = f"the date {as_of} of the store {self.root}"
        with hold_lock(lock, self._holder(as_of), name, purpose):
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)  # while held, so that a waiting process notices

    def running_dates(self) -> dict[dt.date, str]:
        """Return the dates that are running, each with its process; this process counts, too."""
        running = {}
        for path in sorted(self.inside(".locks").glob("*.lock")):
            as_of = checked_date(path.stem)
            # a process that runs a date names itself in the holder file
            patience = 0.0 if self._holder(as_of).is_file() else PROBE_SECONDS
            try:
                with hold_lock(path, None, str(as_of), "", patience=patience):
                    path.unlink(missing_ok=True)  # left by a dead process
            except StoreLockedError:
                running[as_of] = holder_text(self._holder(as_of))
        return running

    def _date_lock(self, as_of: dt.date | str) -> Path:
        return self.inside(".locks", f"{checked_date(as_of)}.lock")

    def _holder(self, as_of: dt.date | str | None = None) -> Path:
        """Return the file that names the holder of a date's lock, or of the writer lock."""
        if as_of is None:
            return self.inside(".lock.holder.json")
        return self.inside(".locks", f"{checked_date(as_of)}.holder.json")

    def holders(self) -> list[Path]:
        """Return the files that name lock holders; dead processes may have left some."""
        return [self._holder(), *sorted(self.inside(".locks").glob("*.holder.json"))]
