"""The scores of what readers had: values worked by hand, and fourteen nights beside pandas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from worlds import scored_nights as nights
from worlds.dataset_world import Shop
from worlds.scored_nights import COUNTS, KS, MEANS, MORE, NIGHTS, Taste, expected, kept, oracle, swapped

from tasks.release.releases import Release
from tasks.release.tables import IdTypes
from tasks.release_scores.scores import ReleaseScores, release_scores

TEXT = IdTypes(pa.string(), pa.string())
YESTERDAY, TODAY = date(2026, 3, 9), date(2026, 3, 10)
LISTS = {"a": ("x", "y", "z"), "b": ("y", "z", "w"), "c": ("x", "y", "w"), "e": ("x", "y", "z")}


def lists_of(lists: dict[str, tuple[str, ...]]) -> pd.DataFrame:
    rows = [
        (user, rank, item, "popular_all_time" if (user, item) == ("a", "z") else "als")
        for user, items in lists.items()
        for rank, item in enumerate(items, 1)
    ]
    return pd.DataFrame(rows, columns=["user_id", "rank", "item_id", "source"])


def log_by_hand(shop: Shop) -> None:
    """Write what a, b, c and d did before, and since; e is a bot."""
    seen = {"value": 0}  # does not count, but makes an item known
    shop.log(
        ("a", "p", "2026-03-09 23:59:59"), ("b", "p", "2026-03-02 08:00:00"),
        ("c", "p", "2026-03-03 08:00:00"),
        ("a", "v", "2026-03-08 10:00:00", seen),
        ("a", "y", "2026-03-10 00:00:00"), ("a", "y", "2026-03-10 09:00:00"),  # rank 2, for the first time
        ("a", "q", "2026-03-10 09:01:00"),  # new, and not in the list
        ("a", "p", "2026-03-10 09:02:00"), ("a", "v", "2026-03-10 09:03:00"),  # met before
        ("b", "w", "2026-03-10 23:59:59"),  # rank 3
        ("b", "z", "2026-03-10 12:00:00", seen),
        ("d", "x", "2026-03-10 12:00:00"),  # has no list
        *(("e", item, "2026-03-10 12:00:00") for item in "xyzwpqvo"),
    )  # fmt: skip


@dataclass
class Judge:
    """A shop whose lists are judged by an engine, on a dataset that DuckDB builds."""

    shop: Shop
    engine: Any

    def scores(self, before: Release | None, as_of: date = TODAY, **more: Any) -> ReleaseScores:
        sections: dict[str, Any] = {
            "evaluation": {"ks": (2,)},
            "dataset": {"positive": "value is null or value >= 1", "max_user_events": 7},
        }
        built = self.shop.build(as_of, **(sections | more))
        return release_scores(built.configuration, self.engine, built.folder, before, as_of)


def row(table: pa.Table, segment: str, value: str, k: int) -> dict[str, Any]:
    """Return a row of the table; None if it is not there."""
    where = (pc.field("segment") == segment) & (pc.field("segment_value") == value) & (pc.field("k") == k)
    return next(iter(table.filter(where).to_pylist()), {})


@pytest.fixture
def judge(tmp_path: Path, duckdb_engine: Any, engine: Any) -> Judge:
    """Return the shop of the values worked by hand, judged by each engine."""
    shop = Shop(tmp_path, duckdb_engine)
    log_by_hand(shop)
    return Judge(shop, engine)


@pytest.fixture
def quick(tmp_path: Path, duckdb_engine: Any) -> Judge:
    shop = Shop(tmp_path, duckdb_engine)
    log_by_hand(shop)
    return Judge(shop, duckdb_engine)


def test_scores_worked_by_hand(judge: Judge, tmp_path: Path) -> None:
    path = judge.shop.file("users.csv", "id,country", "a,DE", "b,DE", "d,FR", "e,DE")
    before = kept(tmp_path, YESTERDAY, TEXT, recommendations=lists_of(LISTS))
    users = {"path": path, "id": "id", "attributes": {"country": "country"}}
    by_country = {"users": users, "quality": {"segments": ["country"]}}
    scores = judge.scores(before, **by_country)
    assert scores.table.equals(Judge(judge.shop, judge.shop.engine).scores(before, **by_country).table)
    second, third = 1 / math.log2(3), 1 / math.log2(4)  # what a hit at ranks 2 and 3 gains
    of_a = second / (1 + second)  # two new items, the first k of the best list have both
    whole = row(scores.table, "all", "all", 3)
    assert [whole[name] for name in COUNTS] == [3, 2, 2, 2, 7, 6, 3, 6, 3, 2]
    assert (whole["as_of"], whole["scored_as_of"], whole["first_date"]) == (TODAY, YESTERDAY, TODAY)
    assert (whole["recall"], whole["ndcg"]) == pytest.approx((0.75, (of_a + third) / 2))
    spread = 1.959964 * abs(of_a - third) / 2  # two users: half their distance is the standard error
    assert whole["ndcg_high"] - whole["ndcg"] == pytest.approx(spread, abs=1e-6)
    shorter = row(scores.table, "all", "all", 2)
    assert [shorter[name] for name in COUNTS] == [3, 2, 2, 1, 7, 6, 2, 4, 3, 1]
    assert (shorter["recall"], shorter["ndcg"]) == pytest.approx((0.25, of_a / 2))
    filled = row(scores.table, "source", "popular_all_time", 3)
    assert (filled["users"], filled["listed_rows"], filled["hits"], filled["ndcg"]) == (1, 1, 0, 0.0)
    hits = [row(scores.table, "rank", str(rank), rank)["hits"] for rank in (1, 2, 3)]
    assert hits == [0, 1, 1]
    assert row(scores.table, "model", "als", 3) | {"segment": "all", "segment_value": "all"} == whole | {
        "users": 2,
        "events": 6,
    }
    assert [row(scores.table, "activity", name, 3).get("users") for name in ("new", "light")] == [3, None]
    assert row(scores.table, "country", "DE", 3)["users"] == 2
    assert row(scores.table, "country", "FR", 3) == {}  # no row is about one person
    assert scores.sentence == (
        "the lists of 2026-03-09: 100% of 2 users found something they met since; NDCG@3 0.4434; "
        "86% of 7 events since by users with a list, 43% with an item of it"
    )


def test_items_met_before_are_relevant_where_lists_may_repeat(quick: Judge, tmp_path: Path) -> None:
    lists = lists_of(LISTS | {"a": ("p", "y", "z")})
    before = kept(tmp_path, YESTERDAY, TEXT, recommendations=lists)
    strict, repeating = (
        row(quick.scores(before, top_n={"repeats": repeats}).table, "all", "all", 3)
        for repeats in (False, True)
    )
    assert (strict["pairs"], strict["hits"], strict["events_found"]) == (3, 2, 4)
    assert (repeating["pairs"], repeating["hits"], repeating["events_found"]) == (5, 3, 4)
    # a met p the day before, and v the day before that
    later = row(quick.scores(before, top_n={"repeat_after_days": 1}).table, "all", "all", 3)
    assert (later["pairs"], later["hits"], later["events"]) == (4, 2, strict["events"])


def test_days_between_two_nights_count_and_begin_at_midnight_of_the_source(
    quick: Judge, tmp_path: Path
) -> None:
    before = kept(tmp_path, date(2026, 3, 7), TEXT, recommendations=lists_of(LISTS))
    days = row(quick.scores(before).table, "all", "all", 3)
    assert (days["first_date"], days["as_of"], days["events"]) == (date(2026, 3, 8), TODAY, 8)
    west = Shop(tmp_path / "west", quick.engine, source={"time_zone": "America/New_York"})
    log_by_hand(west)  # times without an offset are local, and so is midnight: nothing moves
    assert row(Judge(west, quick.engine).scores(before).table, "all", "all", 3) == days


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lists: lists.drop(columns="source"), "they have no column source"),
        (lambda lists: lists.assign(user_id=range(len(lists))), "their ids are of another type"),
        (None, "the file is damaged"),
    ],
)
def test_lists_that_cannot_be_read_beside_tonights_dataset_are_not_judged(
    quick: Judge, tmp_path: Path, change: Any, reason: str
) -> None:
    before = kept(tmp_path, YESTERDAY, TEXT, recommendations=lists_of(LISTS))
    path = before.table("recommendations")
    if change is None:
        path.write_bytes(path.read_bytes()[:-9])
    else:
        change(pd.read_parquet(path)).to_parquet(path)
    scores = quick.scores(before)
    assert (len(scores.table), scores.sentence) == (0, f"the lists of 2026-03-09 cannot be judged: {reason}")
    assert scores.warnings == (scores.sentence,)


def test_a_damaged_history_is_a_warning_and_tonight_is_judged(quick: Judge, tmp_path: Path) -> None:
    before = kept(tmp_path, YESTERDAY, TEXT, recommendations=lists_of(LISTS))
    before.table("release_scores").write_bytes(b"PAR1 and no more")
    scores = quick.scores(before)
    assert row(scores.table, "all", "all", 3)["hits"] == 2
    (warning,) = scores.warnings
    assert warning.startswith("the scores of earlier nights are lost: cannot read ")


def test_a_night_says_that_there_is_nothing_to_judge(quick: Judge, tmp_path: Path) -> None:
    first = quick.scores(None)
    assert len(first.table) == 0
    assert first.warnings == ()
    assert first.sentence == "readers had no release before 2026-03-10: there are no lists to judge"
    before = kept(tmp_path, TODAY, TEXT, recommendations=lists_of(LISTS))
    silent = quick.scores(before, TODAY + timedelta(days=1))
    assert (len(silent.table), silent.sentence) == (
        0,
        "the lists of 2026-03-10 cannot be judged: no event since",
    )
    strangers = kept(tmp_path / "other", YESTERDAY, TEXT, recommendations=lists_of({"c": ("x", "y", "z")}))
    unread = quick.scores(strangers)
    assert row(unread.table, "all", "all", 3)["ndcg"] is None
    assert unread.sentence == (
        "the lists of 2026-03-09: 0% of 7 events since by users with a list, 0% with an item of it; "
        "no user with a list met anything new"
    )


@pytest.fixture(scope="module")
def fourteen(tmp_path_factory: pytest.TempPathFactory, duckdb_engine: Any) -> dict[str, Any]:
    """Return the events, each night's lists, and the table of each night; two nights have planted lists."""
    folder, taste = tmp_path_factory.mktemp("fourteen"), Taste()
    shop, events, ids = Shop(folder / "shop", duckdb_engine), taste.events(), TEXT
    times = events["time"].astype(str)
    columns = zip(events["user"], events["item"], times, events["value"], strict=True)
    shop.log(*((user, item, time, {"value": value}) for user, item, time, value in columns))
    before, lists, tables = None, [], []
    for night in range(NIGHTS):
        as_of = nights.FIRST + timedelta(days=night)
        built = shop.build(as_of, name=f"dataset-{night}", **MORE)
        scores = release_scores(built.configuration, duckdb_engine, built.folder, before, as_of)
        tomorrow = pd.Timestamp(as_of) + pd.Timedelta(days=1)
        made = taste.lists(events[events["time"] < tomorrow])
        if night == 5:
            made = swapped(made)
        if night == 9:
            made = oracle(made, events, tomorrow)
        before = kept(folder / "releases", as_of, ids, recommendations=made, release_scores=scores.table)
        lists.append(made)
        tables.append(scores.table)
    return {"events": events, "lists": lists, "tables": tables}


def test_fourteen_nights_equal_an_independent_computation(fourteen: dict[str, Any]) -> None:
    table = fourteen["tables"][-1].to_pandas()
    assert sorted(set(table["as_of"])) == [nights.FIRST + timedelta(days=n) for n in range(1, NIGHTS)]
    assert (table["as_of"] - table["scored_as_of"] == timedelta(days=1)).all()
    for night in range(1, NIGHTS):
        ours = table[table["as_of"] == nights.FIRST + timedelta(days=night)]
        ours = ours[ours["segment"].isin(["all", "source", "rank"])].reset_index(drop=True)
        theirs = expected(fourteen["events"], fourteen["lists"][night - 1], night)
        names = ["segment", "segment_value", "k", *COUNTS]
        pd.testing.assert_frame_equal(ours[names], theirs[names], check_dtype=False)
        pd.testing.assert_frame_equal(ours[MEANS], theirs[MEANS], rtol=0, atol=1e-7)


def test_each_table_takes_over_the_rows_of_the_one_before(fourteen: dict[str, Any]) -> None:
    for night, (earlier, later) in enumerate(zip(fourteen["tables"], fourteen["tables"][1:], strict=False)):
        today = nights.FIRST + timedelta(days=night + 1)
        assert later.filter(pc.field("as_of") < today).equals(earlier)
        assert len(later) > len(earlier)


def test_segments_of_all_users_add_up(fourteen: dict[str, Any]) -> None:
    table = fourteen["tables"][-1].to_pandas()
    table["ndcg_sum"] = table["ndcg"] * table["users_judged"]
    by_night = table[table["k"] == max(KS)].groupby(["segment", "as_of"])[[*COUNTS, "ndcg_sum"]].sum()
    everybody = by_night.loc["all"]
    pd.testing.assert_frame_equal(by_night.loc["activity"], everybody)
    of_lists = ["users_listed", "users_judged", "events_found", "listed_rows", "pairs", "hits", "ndcg_sum"]
    pd.testing.assert_frame_equal(by_night.loc["model"][of_lists], everybody[of_lists])
    ranks = table[table["segment"] == "rank"].groupby("as_of")[["listed_rows", "hits", "events_found"]].sum()
    pd.testing.assert_frame_equal(ranks, everybody[["listed_rows", "hits", "events_found"]])


def test_planted_lists_move_the_scores(fourteen: dict[str, Any]) -> None:
    table = fourteen["tables"][-1].to_pandas()
    whole = table[(table["segment"] == "all") & (table["k"] == max(KS))].set_index("as_of")
    bad, seer = (nights.FIRST + timedelta(days=night) for night in (6, 10))
    honest = whole.drop([bad, seer])
    for figure in ("ndcg", "recall"):
        assert whole.loc[bad, figure] < honest[figure].min()
        assert whole.loc[seer, figure] > honest[figure].max()
    assert whole.loc[seer, "ndcg"] == pytest.approx(1)
    assert whole.loc[bad, "ndcg_high"] < honest["ndcg"].mean() < whole.loc[seer, "ndcg_low"]
