"""The commands query and show: output for scripts and for the terminal."""

from __future__ import annotations

import csv
import io
import os
import pty
import subprocess
from pathlib import Path

import pytest
from worlds.command_calls import MAIN, call, document
from worlds.paths import IMPORTABLE
from worlds.release_world import World


def test_query_prints_a_table(root: Path) -> None:
    lines = call("query", "SELECT item_id, title FROM items ORDER BY 1", store=root).stdout.splitlines()
    assert lines[1].split() == ["item_id", "title"]
    assert lines[3].split() == ["100", "Title", "100"]
    assert len([line for line in lines if "10" in line]) == 8


def test_query_reads_the_statement_from_stdin_and_a_release_by_its_id(root: Path) -> None:
    sql = "SELECT as_of FROM release_info\n"
    assert "2026-01-02" in call("query", "-", store=root, given=sql).stdout
    assert "2026-01-01" in call("query", "-", "--release", "2026-01-01-r1", store=root, given=sql).stdout


def test_query_prints_one_json_document(root: Path) -> None:
    sql = (
        "SELECT sum(rank) AS whole, 'nan'::DOUBLE AS nothing, DATE '2026-01-02' AS day, [1, 2] AS list, "
        "NULL AS none, 1.50::DECIMAL(4, 2) AS part, {'a': INTERVAL 1 DAY} AS span FROM recommendations"
    )
    answer = document("query", sql, store=root)
    assert list(answer) == ["release_id", "columns", "cut", "rows"]
    assert answer["release_id"] == "2026-01-02-r1"
    assert answer["columns"] == ["whole", "nothing", "day", "list", "none", "part", "span"]
    row = answer["rows"][0]
    assert (row["whole"], row["nothing"], row["day"], row["list"]) == (24, None, "2026-01-02", [1, 2])
    assert (row["none"], row["part"]) == (None, 1.5)


def test_query_without_rows_keeps_its_columns(root: Path) -> None:
    sql = "SELECT user_id, rank FROM recommendations WHERE false"
    assert document("query", sql, store=root)["columns"] == ["user_id", "rank"]
    assert call("query", sql, "--csv", store=root).stdout == "user_id,rank\n"
    assert "user_id" in call("query", sql, store=root).stdout


def test_query_prints_csv_that_reads_back(root: Path) -> None:
    sql = """SELECT 'a "b", c' || chr(10) || 'é' AS text, 0.1::DOUBLE AS number, NULL AS none, [1] AS list"""
    rows = list(csv.reader(io.StringIO(call("query", sql, "--csv", store=root).stdout, newline="")))
    assert rows == [["text", "number", "none", "list"], ['a "b", c\né', "0.1", "", "[1]"]]


def test_query_reports_when_it_truncates(root: Path) -> None:
    result = call("query", "SELECT i FROM range(5) AS r(i) ORDER BY i DESC", "--limit", "2", store=root)
    assert [line.strip() for line in result.stdout.splitlines() if line.strip()][2:] == ["4", "3"]
    assert result.stderr == "cut after 2 rows; --limit 0 prints all\n"
    assert call("query", "SELECT i FROM range(2) AS r(i)", "--limit", "2", store=root).stderr == ""
    many = "SELECT i FROM range(1001) AS r(i)"
    assert "cut after 1,000 rows" in call("query", many, store=root).stderr
    assert call("query", many, "--limit", "0", store=root).stderr == ""
    assert len(document("query", many, store=root)["rows"]) == 1001
    assert len(call("query", many, "--csv", store=root).stdout.splitlines()) == 1002
    answer = document("query", many, "--limit", "3", store=root)
    assert (len(answer["rows"]), answer["cut"]) == (3, True)
    assert call("query", "EXPLAIN SELECT 1", "--limit", "1", store=root).stdout
    assert call("query", "SHOW TABLES", "--limit", "1", store=root).stdout


def test_a_pipe_receives_every_character_without_markup(root: Path) -> None:
    sql = (
        "SELECT repeat('wide', 500) AS wide, '[red]plain[/red] :smile:' AS marked, chr(27) || '[31m' AS ansi"
    )
    printed = call("query", sql, store=root, FORCE_COLOR="1", COLUMNS="40").stdout
    assert "wide" * 500 in printed
    assert "[red]plain[/red] :smile:" in printed
    assert r"\x1b[31m" in printed


def test_a_narrow_terminal_folds_and_loses_nothing(root: Path) -> None:
    sql = "SELECT '" + "0123456789" * 6 + "' AS long"
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "40", "TERM": "xterm", "PYTHONPATH": IMPORTABLE}
    command = [*MAIN, "query", sql, "--store", str(root)]
    subprocess.run(command, stdout=theirs, check=True, env=environment)
    os.close(theirs)
    digits = "".join(letter for letter in os.read(ours, 10_000).decode() if letter.isdigit())
    os.close(ours)
    assert "0123456789" * 6 in digits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SELCT 1"], 'error: Parser Error: syntax error at or near "SELCT"'),
        (["SELECT 1; DROP TABLE items"], "error: expected one SELECT statement, got SELECT, DROP"),
        (["SELECT 1", "--release", "2026-01-09-r1"], "error: unknown release '2026-01-09-r1'; known: "),
        (["SELECT 1", "--release", "../x"], "error: expected a release id"),
    ],
)
def test_a_wrong_query_is_one_message(root: Path, arguments: list[str], message: str) -> None:
    result = call("query", *arguments, store=root, code=1)
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_two_formats_at_once_are_wrong_use(root: Path) -> None:
    assert "exclude each other" in call("query", "SELECT 1", "--csv", "--json", store=root, code=2).stderr


def test_show_user_prints_titles_source_and_reason(root: Path) -> None:
    printed = call("show", "user", "10", store=root).stdout
    assert "Recommendations for user 10 (release 2026-01-02-r1)" in printed
    first = next(line for line in printed.splitlines() if "Title 102" in line)
    assert first.split() == ["1", "102", "Title", "102", "1", "als", "100", "Title", "100"]
    answer = document("show", "user", "10", "-n", "2", store=root)
    assert (answer["known"], answer["popular_items"]) == (True, [])
    assert [row["item_id"] for row in answer["recommendations"]] == [102, 103]


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("11", "error: unknown user '11' in release 2026-01-02-r1; users are, for example, 10, 20, 30\n"),
        (
            "1o",
            "error: expected a user_id of type BIGINT (a whole number), got '1o'; users are, for example",
        ),
    ],
)
def test_an_unknown_user_gets_what_an_app_would_show(root: Path, user: str, message: str) -> None:
    result = call("show", "user", user, store=root, code=1)
    assert result.stderr.startswith(message)
    assert "popular_items of segment 'all'" in result.stdout
    assert "Title 105" in result.stdout  # of the fallback window of the release's configuration, 7 days
    assert "Title 100" not in result.stdout
    answer = document("show", "user", user, store=root, code=1)
    assert (answer["known"], answer["recommendations"]) == (False, [])
    assert [row["item_id"] for row in answer["popular_items"]] == [105]


def test_without_a_configured_window_the_shortest_is_shown(root: Path) -> None:
    answer = document("show", "user", "11", "--release", "2026-01-01-r1", store=root, code=1)
    assert [(row["window_days"], row["item_id"]) for row in answer["popular_items"]] == [(0, 100), (0, 101)]


def test_ids_that_are_text_are_looked_up_as_text(tmp_path: Path) -> None:
    world = World(tmp_path, text=True)
    world.publish()
    assert document("show", "user", "10", store=world.store.root)["recommendations"][0]["item_id"] == "102"
    assert not document("show", "user", "'; --", store=world.store.root, code=1)["known"]
    assert document("show", "item", "100", store=world.store.root)["title"] == "Title 100"


def test_show_item_prints_its_title_and_similar_items(root: Path) -> None:
    printed = call("show", "item", "100", store=root).stdout
    assert printed.startswith("100: Title 100 (release 2026-01-02-r1)\n")
    assert printed.index("Title 101") < printed.index("Title 102")
    answer = document("show", "item", "100", "-n", "1", store=root)
    assert (answer["title"], [row["similar_item_id"] for row in answer["similar_items"]]) == (
        "Title 100",
        [101],
    )


def test_an_item_without_title_or_neighbours_is_no_mistake(root: Path) -> None:
    printed = call("show", "item", "106", store=root).stdout
    assert "106: no title" in printed
    assert "no similar items" in printed
    assert document("show", "item", "106", store=root)["similar_items"] == []


def test_an_unknown_item_is_said(root: Path) -> None:
    message = "error: unknown item '999' in release 2026-01-02-r1; items are, for example, 100, 101, 102\n"
    assert call("show", "item", "999", store=root, code=1).stderr == message


def test_show_popular_prints_every_window_of_everybody(root: Path) -> None:
    rows = document("show", "popular", store=root)["popular_items"]
    assert [(row["window_days"], row["item_id"]) for row in rows] == [(0, 100), (0, 101), (7, 105)]
    rows = document("show", "popular", "--segment", "country", "--value", "FR", store=root)["popular_items"]
    assert [(row["segment_value"], row["title"]) for row in rows] == [("FR", "Title 100")]
    assert len(document("show", "popular", "--window", "0", "-n", "1", store=root)["popular_items"]) == 1
    week = document("show", "popular", "--window", "168h", store=root)["popular_items"]
    assert week == document("show", "popular", "--window", "7", store=root)["popular_items"]
    assert [row["item_id"] for row in week] == [105]
    assert "window 0 is all time" in call("show", "popular", store=root).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--segment", "contry"], "unknown segment 'contry' in popular_items; known: all, country"),
        (["--segment", "country", "--value", "UK"], "unknown value 'UK' in popular_items; known: DE, FR"),
        (["--window", "30"], "unknown window '30' in popular_items; known: 0, 7"),
        (["--window", "5h"], "unknown window '5h' in popular_items; known: 0, 7"),
    ],
)
def test_an_unknown_list_names_the_known_ones(root: Path, arguments: list[str], message: str) -> None:
    assert call("show", "popular", *arguments, store=root, code=1).stderr == f"error: {message}\n"


def test_a_window_that_is_neither_days_nor_hours_is_refused(root: Path) -> None:
    assert (
        "expected a number of days" in call("show", "popular", "--window", "soon", store=root, code=2).stderr
    )


def test_hours_are_shown_by_command_and_as_the_fallback(fresh: World) -> None:
    popular = fresh.tables["popular_items"]
    popular["window_days"] = [0.25 if days == 0 else days for days in popular["window_days"]]
    fresh.publish()
    rows = document("show", "popular", "--window", "6h", store=fresh.store.root)["popular_items"]
    assert [(row["window_days"], row["item_id"]) for row in rows] == [(0.25, 100), (0.25, 101)]
    printed = call("show", "user", "11", store=fresh.store.root, code=1).stdout
    assert "popular_items of segment 'all', 6 hours" in printed
    missing = call(
        "show", "popular", "--segment", "country", "--window", "6h", store=fresh.store.root, code=1
    )
    assert missing.stderr == "error: unknown window '6h' in popular_items; known: 7\n"
