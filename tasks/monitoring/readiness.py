"""Checks whether a night could run: configuration, store, disk, logs and catalogues."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

from sql.errors import EngineError
from sql.source import Source
from tasks.configuration.configuration import Configuration, load
from tasks.interactions.owners import require_apart
from tasks.monitoring.machine import MISSING, OK, PROBLEM, Check
from tasks.monitoring.status import lock_holder
from tasks.proposal.trial import try_rows
from tasks.release.missing import missing_text
from tasks.runtime.errors import UserError
from tasks.runtime.wording import counted
from tasks.sources.discovery import Discovered, Search, discover, files_under
from tasks.sources.source_files import SourceFile, redacted
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


def source_checks(configuration: Configuration) -> Iterator[Check]:
    """Check that the logs of each source exist: the number of files and the dates in their names."""
    for source in configuration.sources:
        name = f"logs of {source.name}" if source.name else "logs"
        try:
            discovered = discover(source, date.max)
        except UserError as error:
            advice = f"correct [{source.section}] path, or put the logs there"
            yield Check(name, PROBLEM, str(error), advice)
            continue
        files = discovered.files
        days = sorted(file.day for file in files if file.day is not None)
        dated = f", {days[0]} to {days[-1]}" if days else ""
        others = "".join(f"; not read: {part}" for part in discovered.left_out)
        size = readable(sum(file.size for file in files))
        yield Check(name, OK, f"{counted(len(files), 'file')}, {size}{dated}{others}")


def rows_checks(configuration: Configuration) -> Iterator[Check]:
    """Check how many rows of a sample of each source's newest file would be accepted, if it has files."""
    found: dict[str, Discovered] = {}
    for source in configuration.sources:
        with suppress(UserError):  # `source_checks` reports it
            found[source.name] = discover(source, date.max)
    try:
        require_apart(found, configuration.sources)
    except UserError as error:
        yield Check("logs", PROBLEM, str(error), "let each [[source]] path name files of its own")
    for source in configuration.sources:
        if source.name in found and found[source.name].files:
            yield _rows_check(configuration, source, found[source.name].files)


def _rows_check(configuration: Configuration, source: Source, files: Sequence[SourceFile]) -> Check:
    newest = max(files, key=lambda file: (file.day or date.min, file.modified or 0.0, file.address))
    file, name = redacted(newest.address), f"rows of {source.name}" if source.name else "rows"
    try:
        with tempfile.TemporaryDirectory(prefix="nightshelf-doctor-") as scratch:
            trial = try_rows(configuration, source, [newest], Path(scratch))
    except (UserError, EngineError) as error:
        return Check(name, PROBLEM, str(error), f"correct [{source.section}], or deliver the file again")
    found = f"{trial} (a sample of {file})"
    limit = configuration.gate.max_quarantined_share
    if trial.rows and trial.accepted + trial.others.get("excluded", 0) == 0:
        return Check(name, PROBLEM, found, f"correct [{source.section}], as the rules say")
    if trial.quarantined > limit * trial.rows:
        advice = f"the gate refuses a night if over {limit:.0%} of all rows are quarantined"
        return Check(name, OK, found, advice)
    return Check(name, OK, found)


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
    named = redacted(files[0].address) if len(files) == 1 else counted(len(files), "file")
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
