"""The commands that read a release: any SELECT, and the lists of one user, one item or one segment."""

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

DISPLAYED = 1000  # rows of a query shown to people unless --limit says otherwise
ID_HELP = "id; write -- before one that starts with -."
INSTEAD = 10  # ranks shown to a user without recommendations unless --n says otherwise
SHOWN = ("rank", "item_id", "title", "score", "source", "reason_item_id", "reason_title")
SIMILAR = ("rank", "similar_item_id", "similar_title", "score", "source")
POPULAR = ("segment", "segment_value", "window_days", "rank", "item_id", "title", "score", "users")

show = typer.Typer(help="Show the lists of one user, one item or one segment.", no_args_is_help=True)

LimitOption = Annotated[
    int | None, typer.Option(min=0, help="Most rows printed, 0 for all; 1000 in tables, all in JSON and CSV.")
]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV and nothing else.")]
LengthOption = Annotated[int | None, typer.Option("--n", "-n", min=1, help="Only the first so many ranks.")]


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT over the release's tables; - reads it from stdin.")],
    *,
    release: ReleaseOption = None,
    limit: LimitOption = None,
    as_csv: CsvOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Answer one SELECT on the tables of a release."""
    if as_csv and as_json:
        raise typer.BadParameter("--csv and --json exclude each other")
    with out.user_errors():
        from tasks.release import query as questions

        place = find_store(config, store)
        found = _release(place, release)
        most = (0 if as_csv or as_json else DISPLAYED) if limit is None else limit
        text = sys.stdin.read() if sql == "-" else sql
        table = questions.query(place, text, found.release_id, limit=most + 1 if most else None)
        cut = bool(most) and table.num_rows > most
        table = table.slice(0, most) if cut else table
        if as_json:
            facts = {"release_id": found.release_id, "columns": out.columns_of(table), "cut": cut}
            out.print_json(facts | {"rows": out.records_of(table)})
        else:
            printed = out.print_csv if as_csv else out.print_table
            printed(out.columns_of(table), out.rows_of(table))
        if cut:
            out.note(f"cut after {most:,} rows; --limit 0 prints all")


@show.command("user")
def show_user(
    user_id: Annotated[str, typer.Argument(help=f"The user's {ID_HELP}")],
    *,
    n: LengthOption = None,
    release: ReleaseOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Show the recommendations of one user, or what an app shows to a user who has none."""
    with out.user_errors():
        place = find_store(config, store)
        found = _release(place, release)
        rows, problem = _recommendations(place, user_id, found)
        answer = {"release_id": found.release_id, "user_id": user_id, "known": problem is None}
        instead = _fallback(place, found) if problem else []
        rows, instead = _first(rows, n), _first(instead, n or INSTEAD)
        if as_json:
            out.print_json(answer | {"recommendations": rows, "popular_items": instead})
        elif problem is None:
            title = f"Recommendations for user {user_id} (release {found.release_id})"
            out.print_table(SHOWN, [[row[name] for name in SHOWN] for row in rows], title)
        else:
            days = f"{instead[0]['window_days']} days (0 is all time)" if instead else "any window"
            title = f"What an app shows to such a user: popular_items of segment 'all', {days}"
            out.print_table(POPULAR, [[row[name] for name in POPULAR] for row in instead], title)
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
    store: StoreOption = None,
) -> None:
    """Show the title of one item and the items similar to it."""
    with out.user_errors():
        from tasks.release.query import item, similar_to

        place = find_store(config, store)
        found = _release(place, release)
        known = out.records_of(item(place, item_id, found.release_id))
        if not known:
            out.fail(
                f"unknown item {item_id!r} in release {found.release_id}{_examples(place, found, 'items')}"
            )
        rows = _first(out.records_of(similar_to(place, item_id, found.release_id)), n)
        if as_json:
            out.print_json({"release_id": found.release_id, **known[0], "similar_items": rows})
            return
        title = f"{known[0]['item_id']}: {known[0]['title'] or 'no title'} (release {found.release_id})"
        out.print_line(title, style="bold")
        if rows:
            out.print_table(SIMILAR, [[row[name] for name in SIMILAR] for row in rows])
        else:
            out.print_line("no similar items: nobody had it together with another one")


@show.command("popular")
def show_popular(
    *,
    segment: Annotated[str, typer.Option(help="The attribute that splits the events.")] = "all",
    value: Annotated[str | None, typer.Option(help="One value of it; every value if left out.")] = None,
    window: Annotated[
        int | None, typer.Option(min=0, help="Days, 0 for all time; every window if left out.")
    ] = None,
    n: Annotated[
        int, typer.Option("--n", "-n", min=1, help="Only the first so many ranks of each list.")
    ] = 10,
    release: ReleaseOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Show the popular items of a segment, by value and window."""
    with out.user_errors():
        from tasks.release.query import popular

        place = find_store(config, store)
        found = _release(place, release)
        rows = _first(out.records_of(popular(place, segment, value, window, found.release_id)), n)
        if not rows:
            out.fail(_no_such_list(place, found, segment, value, window))
        if as_json:
            out.print_json({"release_id": found.release_id, "popular_items": rows})
        else:
            title = f"Popular items (release {found.release_id}; window 0 is all time)"
            out.print_table(POPULAR, [[row[name] for name in POPULAR] for row in rows], title)


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    app.command("query")(query)
    app.add_typer(show, name="show")


def _release(place: Store, release: str | None) -> Release:
    """Return the release that the whole command reads: the pointer is followed once."""
    from tasks.release.releases import current, open_release

    return current(place) if release is None else open_release(place, release)


def _recommendations(place: Store, user_id: str, found: Release) -> tuple[list[dict[str, Any]], str | None]:
    """Return the rows of a user and, where there are none, why."""
    from tasks.release.query import recommendations_of
    from tasks.runtime.errors import UserError

    try:
        rows = out.records_of(recommendations_of(place, user_id, found.release_id))
    except UserError as error:
        return [], f"{error}{_examples(place, found, 'users')}"
    if rows:
        return rows, None
    return [], f"unknown user {user_id!r} in release {found.release_id}{_examples(place, found, 'users')}"


def _examples(place: Store, found: Release, kind: str) -> str:
    """Return how ids look here, for messages about one that is unknown."""
    from tasks.release.query import query as ask

    sql = {
        "users": "SELECT user_id FROM recommendations WHERE rank = 1 ORDER BY user_id",
        "items": "SELECT item_id FROM items ORDER BY item_id",
    }[kind]
    rows = list(out.rows_of(ask(place, sql, found.release_id, limit=3)))
    return f"; {kind} are, for example, {', '.join(str(row[0]) for row in rows)}" if rows else ""


def _fallback(place: Store, found: Release) -> list[dict[str, Any]]:
    """Return the list for users without recommendations: everybody's, of the configured window."""
    from tasks.release.query import popular_instead

    return out.records_of(popular_instead(place, found.release_id))


def _first(rows: list[dict[str, Any]], n: int | None) -> list[dict[str, Any]]:
    return [row for row in rows if n is None or row["rank"] <= n]


def _no_such_list(place: Store, found: Release, segment: str, value: str | None, window: int | None) -> str:
    """Return what there is instead of the list asked for: the first of these that is unknown."""
    from tasks.release.query import query as ask

    sql = "SELECT DISTINCT segment, segment_value, window_days FROM popular_items ORDER BY ALL"
    lists = list(out.rows_of(ask(place, sql, found.release_id)))
    for name, wish, known in (
        ("segment", segment, {one[0] for one in lists}),
        ("value", value, {one[1] for one in lists if one[0] == segment}),
        ("window", window, {one[2] for one in lists if one[0] == segment and value in (None, one[1])}),
    ):
        if wish is not None and wish not in known:
            listed = [str(one) for one in sorted(known)]
            more = f" and {len(listed) - 20} more" if len(listed) > 20 else ""
            return f"unknown {name} {wish!r} in popular_items; known: {', '.join(listed[:20])}{more}"
    return f"no popular items in release {found.release_id}"
