"""The commands `query` and `show`: a SELECT, or the lists of a user, item or segment."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    ReleaseOption,
    StoreOption,
    find_store,
)
from flows.output import terminal as out

if TYPE_CHECKING:
    from tasks.release.releases import Release
    from tasks.store.layout import Store

DISPLAYED = 1000  # rows of a query printed as a table, unless --limit says otherwise
ID_HELP = "id; write -- before an id that starts with -."
FALLBACK_RANKS = 10  # ranks for a user without recommendations, unless --n says otherwise
RECOMMENDED = ("rank", "item_id", "title", "score", "source", "reason_item_id", "reason_title")
SIMILAR = ("rank", "similar_item_id", "similar_title", "score", "source")
POPULAR = ("segment", "segment_value", "window_days", "rank", "item_id", "title", "score", "users")

show = typer.Typer(help="Show the lists of one user, one item or one segment.", no_args_is_help=True)

LimitOption = Annotated[
    int | None,
    typer.Option(
        min=0, help="Rows to print at most, 0 for all; default: 1000 in tables, all in JSON and CSV."
    ),
]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV and nothing else.")]
LengthOption = Annotated[int | None, typer.Option("--n", "-n", min=1, help="Show only the first N ranks.")]


def query(
    sql: Annotated[str, typer.Argument(help="A SELECT over the release's tables; - reads it from stdin.")],
    *,
    release: ReleaseOption = None,
    limit: LimitOption = None,
    as_csv: CsvOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store_path: StoreOption = None,
) -> None:
    """Answer a SELECT over the tables of a release."""
    if as_csv and as_json:
        raise typer.BadParameter("--csv and --json exclude each other")
    with out.user_errors():
        from tasks.release import query as queries

        store = find_store(config, store_path)
        opened = _release(store, release)
        limit_rows = (0 if as_csv or as_json else DISPLAYED) if limit is None else limit
        text = sys.stdin.read() if sql == "-" else sql
        table = queries.query(store, text, opened.release_id, limit=limit_rows + 1 if limit_rows else None)
        truncated = bool(limit_rows) and table.num_rows > limit_rows
        table = table.slice(0, limit_rows) if truncated else table
        if as_json:
            facts = {"release_id": opened.release_id, "columns": out.columns_of(table), "cut": truncated}
            out.print_json(facts | {"rows": out.records_of(table)})
        else:
            print_rows = out.print_csv if as_csv else out.print_table
            print_rows(out.columns_of(table), out.rows_of(table))
        if truncated:
            out.note(f"cut after {limit_rows:,} rows; --limit 0 prints all")


@show.command("user")
def show_user(
    user_id: Annotated[str, typer.Argument(help=f"The user's {ID_HELP}")],
    *,
    n: LengthOption = None,
    release: ReleaseOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store_path: StoreOption = None,
) -> None:
    """Show the recommendations of a user, or the popular items for a user who has none."""
    with out.user_errors():
        store = find_store(config, store_path)
        opened = _release(store, release)
        rows, problem = _recommendations(store, user_id, opened)
        answer = {"release_id": opened.release_id, "user_id": user_id, "known": problem is None}
        fallback = _fallback_items(store, opened) if problem else []
        rows, fallback = _first(rows, n), _first(fallback, n or FALLBACK_RANKS)
        if as_json:
            out.print_json(answer | {"recommendations": rows, "popular_items": fallback})
        elif problem is None:
            title = f"Recommendations for user {user_id} (release {opened.release_id})"
            out.print_table(RECOMMENDED, [[row[name] for name in RECOMMENDED] for row in rows], title)
        else:
            from tasks.release.windows import name_of

            window = name_of(fallback[0]["window_days"]) if fallback else "any window"
            title = f"The fallback for such a user: popular_items of segment 'all', {window}"
            out.print_table(POPULAR, [[row[name] for name in POPULAR] for row in fallback], title)
        if problem is not None:
            out.fail(problem)


@show.command("item")
def show_item(
    item_id: Annotated[str, typer.Argument(help=f"The item's {ID_HELP}")],
    *,
    n: LengthOption = None,
    release: ReleaseOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store_path: StoreOption = None,
) -> None:
    """Show the title of an item and its similar items."""
    with out.user_errors():
        from tasks.release.query import item, similar_to

        store = find_store(config, store_path)
        opened = _release(store, release)
        known = out.records_of(item(store, item_id, opened.release_id))
        if not known:
            out.fail(
                f"unknown item {item_id!r} in release {opened.release_id}{_examples(store, opened, 'items')}"
            )
        rows = _first(out.records_of(similar_to(store, item_id, opened.release_id)), n)
        if as_json:
            out.print_json({"release_id": opened.release_id, **known[0], "similar_items": rows})
            return
        title = f"{known[0]['item_id']}: {known[0]['title'] or 'no title'} (release {opened.release_id})"
        out.print_line(title, style="bold")
        if rows:
            out.print_table(SIMILAR, [[row[name] for name in SIMILAR] for row in rows])
        else:
            out.print_line("no similar items: no user had it together with another item")


@show.command("popular")
def show_popular(
    *,
    segment: Annotated[str, typer.Option(help="The attribute that defines the segments.")] = "all",
    value: Annotated[
        str | None, typer.Option(help="One value of the attribute; default: every value.")
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="Days, hours such as 6h, or 0 for all time; default: every window.")
    ] = None,
    n: Annotated[
        int, typer.Option("--n", "-n", min=1, help="Show only the first N ranks of each list.")
    ] = 10,
    release: ReleaseOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store_path: StoreOption = None,
) -> None:
    """Show the popular items of a segment, by value and window."""
    days = None if window is None else _days_of(window)
    with out.user_errors():
        from tasks.release.query import popular

        store = find_store(config, store_path)
        opened = _release(store, release)
        rows = _first(out.records_of(popular(store, segment, value, days, opened.release_id)), n)
        if not rows:
            out.fail(_no_such_list(store, opened, segment, value, days))
        if as_json:
            out.print_json({"release_id": opened.release_id, "popular_items": rows})
        else:
            title = f"Popular items (release {opened.release_id}; window 0 is all time)"
            out.print_table(POPULAR, [[row[name] for name in POPULAR] for row in rows], title)


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    app.command("query")(query)
    app.add_typer(show, name="show")


def _release(store: Store, release: str | None) -> Release:
    """Return the release for the whole command, which follows the pointer only once."""
    from tasks.release.releases import current, open_release

    return current(store) if release is None else open_release(store, release)


def _recommendations(store: Store, user_id: str, opened: Release) -> tuple[list[dict[str, Any]], str | None]:
    """Return a user's rows, and the reason if there are none."""
    from tasks.release.query import recommendations_of
    from tasks.runtime.errors import UserError

    try:
        rows = out.records_of(recommendations_of(store, user_id, opened.release_id))
    except UserError as error:
        return [], f"{error}{_examples(store, opened, 'users')}"
    if rows:
        return rows, None
    return [], f"unknown user {user_id!r} in release {opened.release_id}{_examples(store, opened, 'users')}"


def _examples(store: Store, opened: Release, kind: str) -> str:
    """Return example ids for messages about an unknown id."""
    from tasks.release.query import query as run_query

    sql = {
        "users": "SELECT user_id FROM recommendations WHERE rank = 1 ORDER BY user_id",
        "items": "SELECT item_id FROM items ORDER BY item_id",
    }[kind]
    rows = list(out.rows_of(run_query(store, sql, opened.release_id, limit=3)))
    return f"; {kind} are, for example, {', '.join(str(row[0]) for row in rows)}" if rows else ""


def _fallback_items(store: Store, opened: Release) -> list[dict[str, Any]]:
    """Return the list for users without recommendations: everybody's in the configured window."""
    from tasks.release.query import fallback_items

    return out.records_of(fallback_items(store, opened.release_id))


def _first(rows: list[dict[str, Any]], n: int | None) -> list[dict[str, Any]]:
    return [row for row in rows if n is None or row["rank"] <= n]


def _days_of(window: str) -> float:
    """Return the days of a window as the table has them."""
    from tasks.release.windows import hours_of

    try:
        return hours_of(window) / 24
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--window") from None


def _no_such_list(
    store: Store, opened: Release, segment: str, value: str | None, window_days: float | None
) -> str:
    """Return a message with the first unknown option and the values that are known."""
    from tasks.release.query import query as run_query
    from tasks.release.windows import text_of

    sql = "SELECT DISTINCT segment, segment_value, window_days FROM popular_items ORDER BY ALL"
    lists = list(out.rows_of(run_query(store, sql, opened.release_id)))
    windows = {row[2] for row in lists if row[0] == segment and value in (None, row[1])}
    for name, requested, known in (
        ("segment", segment, sorted({row[0] for row in lists})),
        ("value", value, sorted({row[1] for row in lists if row[0] == segment})),
        ("window", None if window_days is None else text_of(window_days), map(text_of, sorted(windows))),
    ):
        options = list(known)
        if requested is not None and requested not in options:
            more = f" and {len(options) - 20} more" if len(options) > 20 else ""
            return f"unknown {name} {requested!r} in popular_items; known: {', '.join(options[:20])}{more}"
    return f"no popular items in release {opened.release_id}"
