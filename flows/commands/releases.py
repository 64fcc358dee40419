"""The commands about releases: `status`, `releases`, `rollback` and `publish`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    StoreOption,
    configured,
    find_store,
    override_lines,
)
from flows.output import terminal as out

if TYPE_CHECKING:
    from tasks.store.layout import Store

STALE_CODE = 3  # exit code of `status` without a fresh release
COLUMNS = ("release_id", "as_of", "published_at", "rows", "size", "active", "problem")


def status(
    as_json: JsonOption = False, config: ConfigOption = DEFAULT_CONFIG, store: StoreOption = None
) -> None:
    """Show the active release, its age, the last run and the disk; exit code 3 unless fresh."""
    with out.user_errors():
        from flows.stack.schedule import night_schedule
        from tasks.monitoring.status import FRESH, store_status

        target = find_store(config, store)
        facts = store_status(target) | {"missing_dates": _missing_dates(config, store)}
        schedule = night_schedule(config, target.root)
        facts["schedule"] = schedule.model_dump() if schedule else None
        if as_json:
            out.print_json(facts)
        else:
            out.print_facts(_lines(facts | {"schedule": schedule.text if schedule else None}))
            if facts["model_metrics"]:
                rows = [list(row.values()) for row in facts["model_metrics"]]
                out.print_table(list(facts["model_metrics"][0]), rows)
    if facts["state"] != FRESH:
        raise typer.Exit(STALE_CODE)


def releases(
    as_json: JsonOption = False, config: ConfigOption = DEFAULT_CONFIG, store: StoreOption = None
) -> None:
    """List the releases of the store, the last published first."""
    with out.user_errors():
        from tasks.monitoring.status import release_rows
        from tasks.store.files import readable

        rows = release_rows(find_store(config, store))
        if as_json:
            out.print_json({"releases": rows})
        elif rows:
            sized = [row | {"size": None if row["bytes"] is None else readable(row["bytes"])} for row in rows]
            out.print_table(COLUMNS, [[row[name] for name in COLUMNS] for row in sized])
        else:
            out.print_line("no releases yet; `nightshelf run` publishes one")


def rollback(
    to: Annotated[
        str | None, typer.Option("--to", help="A release's id or date; default: the previously active one.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Point readers back to an earlier release after checking its files; nothing is deleted."""
    with out.user_errors():
        from flows.night.pointer import point_readers, release_id_of

        target = find_store(config, store)
        before, after = point_readers(target, to and release_id_of(target, to), "rollback")
        if as_json:
            facts = {
                "from": before,
                "to": after.release_id,
                "as_of": after.as_of,
                "expires_at": after.expires_at,
            }
            out.print_json(facts)
        else:
            previous = before or "a damaged pointer"
            out.print_line(f"readers moved from {previous} to {after.release_id} (as of {after.as_of})")
            if before is not None:
                out.print_line(f"to undo: nightshelf rollback --to {before}")


def publish(
    *,
    release: Annotated[str, typer.Argument(help="The id or date of a release, or of a refused night.")],
    force: Annotated[
        bool, typer.Option("--force", help="Publish a night that its quality gate refused.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="The reason, kept in the manifest.")] = "",
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Point readers to a release; with --force and a --reason, publish a refused night."""
    with out.user_errors():
        from flows.night.pointer import release_id_of

        target = find_store(config, store)
        release = release_id_of(target, release, refused=force)
        if force and not target.release(release).is_dir():
            facts = _publish_refused(config, store, release, reason)
        else:
            facts = _point_readers(target, release)
        if as_json:
            out.print_json(facts)
        elif facts["active"]:
            out.print_line(f"readers moved from {facts['from'] or 'a damaged pointer'} to {facts['to']}")
        else:
            out.print_line(f"{facts['to']} is published, not active: readers stay with a later date")


def _publish_refused(config: Path, store: Path | None, release: str, reason: str) -> dict[str, Any]:
    """Publish a refused night; return the pointer's move and the override."""
    from flows.night.publish_refused import publish_refused
    from tasks.release.pointer import read_pointer

    configuration = configured(config, override_lines(store=store))
    before = read_pointer(find_store(config, store))
    record = publish_refused(configuration, release, reason)
    return {
        "from": before.release_id if before else None,
        "to": record.release_id,
        "active": record.station("release").facts["active"],
        "override": record.override,
    }


def _point_readers(store: Store, release: str) -> dict[str, Any]:
    """Point readers to an existing release; UserError for a refused night."""
    from flows.night.pointer import point_readers
    from flows.night.publish_refused import refused_run
    from tasks.runtime.errors import UserError

    if not store.release(release).is_dir():
        refused_run(store, release)
        raise UserError(f'{release} was refused by its quality gate: --force --reason "..." publishes it')
    before, after = point_readers(store, release, "publish")
    return {"from": before, "to": after.release_id, "active": True, "override": {}}


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    app.command("status")(status)
    app.command("releases")(releases)
    app.command("rollback")(rollback)
    app.command("publish")(publish)


def _missing_dates(config: Path, store: Path | None) -> list[date]:
    """Return the past dates without a release; a store alone does not say when its nights are due."""
    from flows.night.catch_up import missed
    from tasks.configuration.part import sources_and_store
    from tasks.runtime.errors import UserError

    try:
        return [] if store is not None else list(missed(sources_and_store(config)))
    except UserError:  # status shows the store, even if the configuration is faulty
        return []


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a status, one pair per line."""
    from tasks.release.missing import missing_text
    from tasks.store.files import readable

    yield "store", facts["store"]
    yield "state", facts["state"] + (f": {facts['problem']}" if facts["problem"] else "")
    release = facts["release"]
    if release:
        yield (
            "release",
            f"{release['release_id']} (as of {release['as_of']}, {release['rows']:,} recommendations)",
        )
        yield "published", f"{release['published_at']}, {out.age(release['age_seconds'])} ago"
        distance = out.age(release["expires_in_seconds"])
        yield (
            "expires",
            f"{release['expires_at']}, " + (f"{distance} ago" if release["stale"] else f"in {distance}"),
        )
    if facts["missing_dates"]:
        yield "missing", missing_text(facts["missing_dates"]) + "; `nightshelf backfill` makes them"
    if facts["schedule"]:
        yield "schedule", facts["schedule"]
    yield from _run_lines(facts["last_run"])
    if facts["locked_by"]:
        yield "locked by", facts["locked_by"]
    yield from _accounting_lines(facts["row_accounting"])
    if facts["settings"]:
        yield "settings", facts["settings"]
    for warning in facts["warnings"]:
        yield "warning", warning
    damaged = facts["releases"]["damaged"]
    yield (
        "releases",
        f"{facts['releases']['count']}" + (f", damaged: {', '.join(damaged)}" if damaged else ""),
    )
    disk = facts["disk"]
    parts = [f"{name} {readable(disk[name])}" for name in ("interactions", "releases", "runs") if disk[name]]
    free = "" if disk["free"] is None else f"; {readable(disk['free'])} free"
    yield "disk", f"{readable(disk['total'])}" + (f" ({', '.join(parts)})" if parts else "") + free


def _run_lines(run: dict[str, Any] | None) -> Iterator[tuple[str, Any]]:
    if run is None:
        yield "last run", "none"
    elif "run_id" not in run:
        yield "last run", f"{run['state']}: {run['message']}"
    else:
        took = f", {run['seconds']:.0f} s in {len(run['stations'])} stations"
        yield "last run", f"{run['run_id']} for {run['as_of']}: {run['state']}{took}"
        if run["message"]:
            yield "", run["message"]


def _accounting_lines(accounting: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield a line for each account: the night's files, all rows so far, and those of several sources."""
    accounts = {name: account for name, account in accounting.items() if isinstance(account, dict)}
    accounts |= {f"of {name}": account for name, account in accounts.pop("sources", {}).items()}
    for name, account in (accounts or {"": accounting}).items():
        figures = ", ".join(f"{value:,} {key}" for key, value in account.items() if isinstance(value, int))
        if figures:
            yield f"rows {name}".rstrip(), figures
