"""The store: the one folder that holds everything Nightshelf keeps; its layout and its locks."""

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
from tasks.store.locks import AT_ONCE, held, held_by
from tasks.store.names import checked_date, checked_name, split_release_id

LOCK_WAIT: Final = 3600.0  # seconds that a night waits for another writer, which may be taking in a long log


@dataclass(frozen=True)
class Store:
    """The addresses of a store; every path it gives lies inside `root`, or it raises StoreError."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(os.path.abspath(self.root)))  # noqa: PTH100 - keeps a linked root

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
        """Refused rows, by event_date."""
        return self.inside("quarantine")

    @property
    def runs(self) -> Path:
        """Folders of runs, by as_of and run id: `RunFolder` says what lies in one."""
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
        """What of each release the next night is compared with."""
        return self.inside("champions")

    @property
    def pointer(self) -> Path:
        """current.json, which names the active release."""
        return self.inside("current.json")

    def ingest(self, ingest_id: str) -> Path:
        """Return the manifest of one ingest."""
        return self.inside("ingests", f"{checked_name('ingest id', ingest_id)}.json")

    def tuning(self, study: str) -> Path:
        """Return the folder of one search for settings."""
        return self.inside("tuning", checked_name("study", study))

    def report(self, release_id: str) -> Path:
        """Return the page about a release, which outlives its run."""
        return self.inside("reports", "{}-{}.html".format(*split_release_id(release_id)))

    def release(self, release_id: str) -> Path:
        """Return the folder of one release."""
        return self.inside("releases", "{}-{}".format(*split_release_id(release_id)))

    def inside(self, *parts: str) -> Path:
        """Return a path below the root; StoreError where a link in it leads out of the store."""
        path = self.root.joinpath(*parts)
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(os.path.realpath(self.root)):
            raise StoreError(f"expected a path inside the store {self.root}, but {path} leads to {real}")
        return path

    def create(self) -> Store:
        """Create missing folders and prove that the store can be written; StoreError if it cannot."""
        if "?" in str(self.root):  # DuckDB would put the log of a database elsewhere: `.wal` before the `?`
            raise StoreError(f"expected a store whose path has no '?', got {self.root}")
        with writing(self.root):
            folders = (self.ingests, self.interactions, self.quarantine, self.runs, self.releases)
            missing = [folder for folder in folders if not folder.is_dir()]
            for folder in missing:
                folder.mkdir(parents=True, exist_ok=True)
            if missing:
                sync(self.root)  # what is committed into a folder needs the folder
            probe = self.root / f".{secrets.token_hex(6)}.tmp"
            probe.write_bytes(b"writable")
            probe.unlink(missing_ok=True)  # a run that tidies up meanwhile may have taken it for a leftover
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
        """Hold the store's one writer lock; after `wait` seconds StoreLockedError says who holds it.

        It is held to take logs in, to publish and to remove; not while a night computes. The lock is the
        operating system's, so a dead process holds none; the file beside it only informs.
        """
        name = f"the store {self.root}"
        with held(self.inside(".lock"), self._holder(), name, purpose, wait=wait, report=report):
            yield

    @contextmanager
    def date_lock(self, as_of: dt.date | str, purpose: str) -> Iterator[None]:
        """Hold the lock of one date, as a run for it does from beginning to end, so that no other begins.

        StoreLockedError at once, with who holds it, if another does.
        """
        lock = self._date_lock(as_of)
        with writing(self.root):
            lock.parent.mkdir(exist_ok=True)
        name = f"the date {as_of} of the store {self.root}"
        with held(lock, self._holder(as_of), name, purpose):
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)  # while it is held: who opened it meanwhile finds it gone

    def dates_at_work(self) -> dict[dt.date, str]:
        """Return the dates that a process runs now, with who it is; in another process or in this one."""
        found = {}
        for path in sorted(self.inside(".locks").glob("*.lock")):
            as_of = checked_date(path.stem)
            patience = 0.0 if self._holder(as_of).is_file() else AT_ONCE  # who runs a date says so there
            try:
                with held(path, None, str(as_of), "", patience=patience):
                    path.unlink(missing_ok=True)  # of a process that died
            except StoreLockedError:
                found[as_of] = held_by(self._holder(as_of))
        return found

    def _date_lock(self, as_of: dt.date | str) -> Path:
        return self.inside(".locks", f"{checked_date(as_of)}.lock")

    def _holder(self, as_of: dt.date | str | None = None) -> Path:
        """Return the file that says who holds a date's lock, or the writer's."""
        if as_of is None:
            return self.inside(".lock.holder.json")
        return self.inside(".locks", f"{checked_date(as_of)}.holder.json")

    def holders(self) -> list[Path]:
        """Return the files that say who holds a lock; a process that died may have left its own."""
        return [self._holder(), *sorted(self.inside(".locks").glob("*.holder.json"))]
