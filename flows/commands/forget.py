"""The command `forget`: remove users from the whole store, and block them from then on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption, StoreOption, find_store
from flows.output import terminal as out

if TYPE_CHECKING:
    from tasks.erasure.subjects import Change

COLUMNS = ("place", "what", "rows", "files or folders")
NOT_TOUCHED = (
    "not touched: the source logs and catalogues, backups, and what Prefect's database keeps (the artifacts "
    "named samples-...); see docs/operation.md"
)


def forget(
    *,
    users: Annotated[list[str] | None, typer.Argument(help="Ids of users, as in the tables.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A file of ids, one per line.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Also block users the store has never seen.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Remove users from the store, releases and reports, and block them; this cannot be undone."""
    with out.user_errors():
        from flows.output.progress import show_progress
        from tasks.erasure.forget import erase, read_ids, survey

        target = find_store(config, store)
        ids = [*(users or []), *(read_ids(file) if file else [])]
        confirm = not (yes or dry_run)
        if dry_run or confirm:
            with show_progress() as report:
                changes = survey(target, ids, allow_unknown=allow_unknown, report=report)
        if confirm:
            _print_changes(changes, f"What forgetting {_users(ids)} would remove from {target.root}")
            typer.confirm("Forget them? This cannot be undone", abort=True, err=True)
        if not dry_run:
            with show_progress() as report:
                changes = erase(target, ids, allow_unknown=allow_unknown, report=report)
        if as_json:
            rows = [dict(zip(COLUMNS, _row(change), strict=True)) for change in changes]
            out.print_json({"users": len(set(ids)), "dry_run": dry_run, "changes": rows})
            return
        would = "would be " if dry_run else ""
        _print_changes(changes, f"{_users(ids)} {would}forgotten in {target.root}")
        out.print_line(NOT_TOUCHED)


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("forget")(forget)


def _print_changes(changes: list[Change], title: str) -> None:
    if changes:
        out.print_table(COLUMNS, [_row(change) for change in changes], title)
    else:
        out.print_line(f"{title}: nothing there")


def _row(change: Change) -> out.Row:
    return [change.part, change.content, change.rows or None, change.files]


def _users(ids: list[str]) -> str:
    number = len(set(ids))
    return f"{number} user" + ("" if number == 1 else "s")
