"""The command `forget`: a user is removed from everything that the store keeps, and kept out from then on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption, StoreOption, find_store
from flows.output import terminal as out

if TYPE_CHECKING:
    from tasks.erasure.wanted import Change

COLUMNS = ("place", "what", "rows", "files or folders")
LEFT = (
    "not touched: the source logs and catalogues, backups, and what Prefect's database keeps (the artifacts "
    "named samples-...); see docs/operation.md"
)


def forget(
    *,
    users: Annotated[
        list[str] | None, typer.Argument(help="Ids of users, as they are in the tables.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A file of ids, one a line.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Keep users out, too, of whom the store has nothing.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Remove users from the store, its releases and reports, and keep them out; it cannot be undone."""
    with out.user_errors():
        from flows.output.progress import shown
        from tasks.erasure.forget import erase, read_ids, survey

        where = find_store(config, store)
        ids = [*(users or []), *(read_ids(file) if file else [])]
        ask = not (yes or dry_run)
        if dry_run or ask:
            with shown() as report:
                changes = survey(where, ids, allow_unknown=allow_unknown, report=report)
        if ask:
            _print(changes, f"What forgetting {_users(ids)} would remove from {where.root}")
            typer.confirm("Forget them? It cannot be undone", abort=True, err=True)
        if not dry_run:
            with shown() as report:
                changes = erase(where, ids, allow_unknown=allow_unknown, report=report)
        if as_json:
            rows = [dict(zip(COLUMNS, _row(change), strict=True)) for change in changes]
            out.print_json({"users": len(set(ids)), "dry_run": dry_run, "changes": rows})
            return
        would = "would be " if dry_run else ""
        _print(changes, f"{_users(ids)} {would}forgotten in {where.root}")
        out.print_line(LEFT)


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("forget")(forget)


def _print(changes: list[Change], title: str) -> None:
    if changes:
        out.print_table(COLUMNS, [_row(change) for change in changes], title)
    else:
        out.print_line(f"{title}: nothing there")


def _row(change: Change) -> out.Row:
    return [change.place, change.what, change.rows or None, change.files]


def _users(ids: list[str]) -> str:
    number = len(set(ids))
    return f"{number} user" + ("" if number == 1 else "s")
