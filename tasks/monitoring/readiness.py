"""Checks whether a night could run: configuration, store, disk, logs and catalogues."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from sql.errors import EngineError
from tasks.configuration.configuration import Configuration, load
from tasks.interactions.discovery import Discovered, Search, discover, files_under
from tasks.interactions.source_files import redacted
from tasks.monitoring.machine import MISSING, OK, PROBLEM, Check
from tasks.monitoring.status import lock_holder
from tasks.proposal.trial import try_rows
from tasks.release.missing import missing_text
from tasks.runtime.errors import UserError
from tasks.store.files import readable
from tasks.store.layout import Store


def configuration_checks(path: Path, is_required: bool) -> tuple[Configuration | None, list[Check]]:
    """Load a configuration; each mistake in it is one check.

    A missing file is a problem only if it `is_required`.
    """
    if not path.exists() and not is_required:
        advice = "needed for your logs (`nightshelf init LOGS` writes one); `nightshelf demo` needs none"
        return None, [Check("configuration", MISSING, f"no {path} here", advice)]
    try:
        configuration = load(path)
    except UserError as error:
        mistakes = str(error).splitlines()
        return None, [Check("configuration", PROBLEM, mistake, f"correct {path}") for mistake in mistakes]
    return configuration, [Check("configuration", OK, str(path))]


def store_checks(store: Store, needed: int) -> Iterator[Check]:
    """Check that the store's folder, or its nearest parent, is writable and has `needed` bytes."""
    exists = store.root.exists()
    folder = next(path for path in (store.root, *store.root.parents) if path.exists())
    name = "store" if exists else "store (does not exist yet)"
    try:
        with tempfile.TemporaryFile(dir=folder):
            holder = lock_holder(store)
            yield Check(name, OK, f"{store.root}, in use by {holder}" if holder else str(store.root))
    except OSError as error:
        advice = f"make {folder} a folder that this user can write to, or set [store] path"
        yield Check(name, PROBLEM, f"cannot write {folder}: {error.strerror}", advice)
    free = shutil.disk_usage(folder).free
    text = f"{readable(free)} free at {folder}"
    if free < needed:
        advice = f"a run needs at least {readable(needed)}: free some, or set [store] path to another disk"
        yield Check("disk", PROBLEM, text, advice)
    else:
        yield Check("disk", OK, text)


def source_check(configuration: Configuration) -> Check:
    """Check that the logs exist: the number of files and the dates in their names."""
    try:
        discovered = discover(configuration.source, date.max)
    except UserError as error:
        return Check("logs", PROBLEM, str(error), "correct [source] path, or put the logs there")
    files = discovered.files
    days = sorted(file.day for file in files if file.day is not None)
    dated = f", {days[0]} to {days[-1]}" if days else ""
    others = "".join(f"; not read: {part}" for part in discovered.left_out)
    size = readable(sum(file.size for file in files))
    return Check("logs", OK, f"{len(files):,} files, {size}{dated}{others}")


def rows_checks(configuration: Configuration) -> Iterator[Check]:
    """Check how many rows of a sample of the newest file would be accepted; nothing without files."""
    try:
        files = discover(configuration.source, date.max).files
    except UserError:
        return  # `source_check` reports it
    if not files:
        return
    newest = max(files, key=lambda file: (file.day or date.min, file.modified or 0.0, file.address))
    name = redacted(newest.address)
    try:
        with tempfile.TemporaryDirectory(prefix="nightshelf-doctor-") as scratch:
            trial = try_rows(configuration, [newest], Path(scratch))
    except (UserError, EngineError) as error:
        yield Check("rows", PROBLEM, str(error), "correct [source], or deliver the file again")
        return
    found = f"{trial} (a sample of {name})"
    limit = configuration.gate.max_quarantined_share
    if trial.rows and trial.accepted + trial.others.get("excluded", 0) == 0:
        yield Check("rows", PROBLEM, found, "correct [source], as the rules say")
    elif trial.quarantined > limit * trial.rows:
        advice = f"the gate refuses a night if over {limit:.0%} of all rows are quarantined"
        yield Check("rows", OK, found, advice)
    else:
        yield Check("rows", OK, found)


def catalogue_checks(configuration: Configuration) -> Iterator[Check]:
    """Check that the files of the configured catalogues exist."""
    for section, catalogue in (("items", configuration.items), ("users", configuration.users)):
        if catalogue.path is None:
            continue
        try:
            found = files_under(catalogue.path, Search(section, catalogue.format))
        except UserError as error:
            yield Check(f"catalogue of {section}", PROBLEM, str(error), f"correct [{section}] path")
        else:
            yield Check(f"catalogue of {section}", OK, _described(found))


def _described(found: Discovered) -> str:
    """Return a file's name, or the number of files; their size, and what is not read."""
    files = found.files
    named = redacted(files[0].address) if len(files) == 1 else f"{len(files):,} files"
    others = "".join(f"; not read: {part}" for part in found.left_out)
    return f"{named}, {readable(sum(file.size for file in files))}{others}"


def missing_check(dates: Sequence[date], *, by_choice: bool) -> Iterator[Check]:
    """Report past dates without a release: a problem, unless the configuration leaves them out."""
    if dates:
        command = f"nightshelf backfill --start {dates[0]} --end {dates[-1]} --run"
        advice = f"`{command}` makes them; " + (
            'nights leave them out, as [schedule] catch_up is "last"'
            if by_choice
            else '[schedule] catch_up = "all" lets nights do so'
        )
        yield Check("dates", MISSING if by_choice else PROBLEM, missing_text(dates), advice)
