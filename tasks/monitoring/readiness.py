"""Whether a night could run: the configuration, the store and its disk, the logs, the catalogues."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from tasks.configuration.configuration import Configuration, load
from tasks.interactions.source_files import find, find_one
from tasks.monitoring.machine import MISSING, OK, PROBLEM, Check
from tasks.monitoring.status import lock_holder
from tasks.runtime.errors import UserError
from tasks.store.files import readable
from tasks.store.layout import Store


def configuration_checks(path: Path, asked_for: bool) -> tuple[Configuration | None, list[Check]]:
    """Load a configuration; every mistake in it is one check.

    A file that is missing is a problem only if it was `asked_for`.
    """
    if not path.exists() and not asked_for:
        advice = "needed for your own logs (start from a file in deployments/); `nightshelf demo` needs none"
        return None, [Check("configuration", MISSING, f"no {path} here", advice)]
    try:
        configuration = load(path)
    except UserError as error:
        mistakes = str(error).splitlines()
        return None, [Check("configuration", PROBLEM, mistake, f"correct {path}") for mistake in mistakes]
    return configuration, [Check("configuration", OK, str(path))]


def store_checks(store: Store, needed: int) -> Iterator[Check]:
    """Check that the store, or where it will be made, can be written and has `needed` bytes free."""
    there = store.root.exists()
    place = next(folder for folder in (store.root, *store.root.parents) if folder.exists())
    name = "store" if there else "store (not made yet)"
    try:
        with tempfile.TemporaryFile(dir=place):
            found = str(store.root)
            holder = lock_holder(store)
            yield Check(name, OK, f"{found}, in use by {holder}" if holder else found)
    except OSError as error:
        advice = f"make {place} a folder that this user may write, or set [store] path"
        yield Check(name, PROBLEM, f"cannot write {place}: {error.strerror}", advice)
    free = shutil.disk_usage(place).free
    found = f"{readable(free)} free at {place}"
    if free < needed:
        advice = f"a run needs at least {readable(needed)}: free some, or set [store] path to another disk"
        yield Check("disk", PROBLEM, found, advice)
    else:
        yield Check("disk", OK, found)


def source_check(configuration: Configuration) -> Check:
    """Check that there are logs: how many files, and of which dates by their names."""
    try:
        files = find(configuration.source, date.max)
    except UserError as error:
        return Check("logs", PROBLEM, str(error), "correct [source] path, or put the logs there")
    days = sorted(file.day for file in files if file.day is not None)
    dated = f", {days[0]} to {days[-1]}" if days else ""
    return Check("logs", OK, f"{len(files):,} files, {readable(sum(file.size for file in files))}{dated}")


def catalogue_checks(configuration: Configuration) -> Iterator[Check]:
    """Check that the catalogue files that are configured are there."""
    for section, catalogue in (("items", configuration.items), ("users", configuration.users)):
        if catalogue.path is None:
            continue
        try:
            file = find_one(catalogue.path, section)
        except UserError as error:
            yield Check(f"catalogue of {section}", PROBLEM, str(error), f"correct [{section}] path")
        else:
            yield Check(f"catalogue of {section}", OK, f"{file.address}, {readable(file.size)}")
