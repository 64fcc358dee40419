"""The lists: exactly N allowed items for every user, with the same bytes on any machine."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pyarrow.parquet as pq
import pytest
from worlds.dataset_world import Shop, plain

from sql.engines.duckdb_engine import DuckDBEngine
from tasks.recommendations.ladder import make_ladder
from tasks.recommendations.recommendations import recommendations, rows_per_user
from tasks.recommendations.similar_items import similar_items, similar_model
from tasks.runtime.errors import InputError

USERS, ITEMS, N = 60, 25, 6
MODELS = ("als", "item_knn", "popularity")
BLOCKED, SOLD_OUT = "i03", "i07"
SECTIONS = {
    "dataset": {"max_user_events": 60, "min_user_items": 2, "min_item_users": 2},
    "top_n": {"n": N, "similar": 4, "blocked_items": [BLOCKED]},
    "popular": {"windows": [2, 0], "fallback_window": 2, "segments": ["land"], "fallback_segment": "land"},
    "engine": {"threads": 1},
    "models": {"als": {"factors": 8, "iterations": 3}},
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Return a shop of two tastes, with a bot, a user of one item, and a user who has seen all."""
    folder = tmp_path_factory.mktemp("shop")
    engine = DuckDBEngine(folder / "engine", 2**29, 1)
    rng = np.random.default_rng(1)
    rows = []
    for user in range(USERS):
        items = rng.choice(ITEMS // 2, rng.integers(2, 8), replace=False) * 2 + user % 2
        rows += [(f"u{user:02}", f"i{n:02}", f"2026-03-{rng.integers(1, 11):02} 10:00:00") for n in items]
    rows += [("bot", f"i{n % 5:02}", "2026-03-10 11:00:00") for n in range(80)]
    rows += [("once", "i04", "2026-03-10 11:00:00"), ("once", "i04", "2026-03-10 11:00:01")]
    rows += [("all", f"i{n:02}", "2026-03-10 11:00:00") for n in range(ITEMS)]
    shop = Shop(folder, engine, **SECTIONS)
    shop.log(*rows)
    items = shop.file("items.csv", "id,sold", *(f"i{n:02},{'no' if n == 7 else 'yes'}" for n in range(ITEMS)))
    users = shop.file("users.csv", "id,land", *(f"u{n:02},{'DE' if n % 3 else 'FR'}" for n in range(USERS)))
    shop.sections["items"] = {"path": items, "id": "id", "available": "sold"}
    shop.sections["users"] = {"path": users, "id": "id", "attributes": {"land": "land"}}
    yield shop
    engine.close()


@pytest.fixture(scope="module")
def built(shop):
    return shop.build()


@pytest.fixture(scope="module")
def models(built):
    return {name: built.train(name, name) for name in MODELS}


def lists(path, key="user_id", item="item_id"):
    """Return item, score and source by key, in order of rank; the ranks are checked."""
    by_key = defaultdict(list)
    for owner, rank, *row in plain(pq.read_table(path), key, "rank", item, "score", "source"):
        by_key[owner].append(tuple(row))
        assert rank == len(by_key[owner])
    return by_key


def history(built):
    users, items = built.rows("users", "user_id"), built.rows("items", "item_id")
    seen = defaultdict(set)
    for user, item in built.rows("entries", "user_index", "item_index"):
        seen[users[user]].add(items[item])
    return seen


@pytest.mark.parametrize("model", MODELS)
def test_every_user_gets_n_unseen_items(built, models, tmp_path, model):
    filled = recommendations(built.configuration, built.folder, models[model], tmp_path)
    by_key, seen = lists(tmp_path / "recommendations.parquet"), history(built)
    assert list(by_key) == sorted(seen) == built.rows("users", "user_id")
    sources = Counter()
    for user, rows in by_key.items():
        items = [item for item, _, _ in rows]
        assert len(items) == len(set(items)) == N
        assert not {BLOCKED, SOLD_OUT} & set(items)
        for item, score, source in rows:
            assert np.isfinite(score)
            assert (item in seen[user]) == (source == "seen_before"), (user, item)
            sources[source] += 1
        scores = [score for _, score, _ in rows]
        assert scores == sorted(scores, reverse=True)
    assert sources == filled.by_source
    assert (filled.users, filled.rows) == (USERS + 3, (USERS + 3) * N)
    assert sources[model] > 100
    assert {source for _, _, source in by_key["all"]} == {"seen_before"}
    # not trained on, but served by the model from their histories
    assert by_key["bot"][0][2] == by_key["once"][0][2] == model


@pytest.mark.parametrize("model", ["als", "item_knn"])
def test_reasons_are_items_of_the_history_and_only_in_rows_of_the_model(built, models, tmp_path, model):
    recommendations(built.configuration, built.folder, models[model], tmp_path)
    seen, reasons = history(built), 0
    columns = ("user_id", "item_id", "source", "reason_item_id")
    for user, item, source, reason in plain(pq.read_table(tmp_path / "recommendations.parquet"), *columns):
        if reason is not None:
            assert source == model
            assert reason in seen[user] - {item}
            reasons += 1
    assert reasons > 200


@pytest.mark.parametrize("model", ["als", "item_knn"])
def test_memory_and_threads_change_no_byte(shop, built, models, tmp_path, model):
    contents = set()
    for number, (memory, threads) in enumerate((("1MiB", 1), ("64MiB", 2), ("1GiB", 1))):
        configuration = shop.configuration(top_n={"memory": memory}, engine={"threads": threads})
        staging = tmp_path / str(number)
        recommendations(configuration, built.folder, models[model], staging)
        similar_items(configuration, built.folder, models[model], staging)
        contents.add(tuple(path.read_bytes() for path in sorted(staging.glob("*.parquet"))))
    assert len(contents) == 1


@pytest.mark.parametrize(("window", "source"), [(2, "popular_2_days"), ("30h", "popular_30_hours")])
def test_the_ladder_starts_with_the_users_segment(shop, tmp_path, window, source):
    # no event of a counts, so everything comes from the ladder
    day = "2026-03-10 12:00:00"
    small_shop = Shop(tmp_path, shop.engine, engine={"threads": 1})
    small_shop.log(
        ("a", "z", day, {"value": 0}),
        ("b", "p", day), ("c", "p", day), ("c", "q", day), ("b", "q", day), ("c", "r", day), ("d", "s", day),
        ("c", "t", "2026-03-01 12:00:00"), ("d", "t", "2026-03-01 12:00:00"),
    )  # fmt: skip
    users = small_shop.file("users.csv", "id,land", "a,DE|FR", "c,FR", "d,DE", "b,")
    small_shop.sections |= {
        "users": {"path": users, "id": "id", "separator": "|", "attributes": {"land": "land"}},
        "popular": SECTIONS["popular"] | {"windows": [window, 0], "fallback_window": window},
        "dataset": {"positive": "value is null"},
        "top_n": {"n": 5},
    }
    built = small_shop.build()
    staging = tmp_path / "staging"
    recommendations(built.configuration, built.folder, built.train("popularity"), staging)
    assert lists(staging / "recommendations.parquet")["a"] == [
        ("s", -1, "popular_land"),  # DE, the smaller of a's two lands
        ("p", -2, source), ("q", -3, source), ("r", -4, source),
        ("t", -5, "popular_all_time"),
    ]  # fmt: skip
    wider = small_shop.configuration(top_n={"n": 6})
    recommendations(wider, built.folder, tmp_path / "model", staging)
    assert lists(staging / "recommendations.parquet")["a"][5] == ("z", -6, "seen_before")
    assert {row[2] for row in lists(staging / "recommendations.parquet")["d"]} > {"catalogue"}


def test_a_learned_half_life_comes_before_the_window(shop, tmp_path):
    """With half a day, p's two events of three days ago count 2 x 1/64, q's of yesterday 1/4."""
    small_shop = Shop(tmp_path, shop.engine, engine={"threads": 1})
    small_shop.log(
        ("a", "z", "2026-03-10 12:00:00"), ("b", "q", "2026-03-09 12:00:00"),
        ("b", "p", "2026-03-07 12:00:00"), ("c", "p", "2026-03-07 12:00:00"),
    )  # fmt: skip
    small_shop.sections |= {"popular": {"windows": [7, 0], "fallback_window": 7}, "top_n": {"n": 2}}
    built = small_shop.build()
    ladder = make_ladder(built.configuration, built.folder, np.ones(3, np.bool_), 0.5)
    assert ladder.names == ("popular_recently", "popular_7_days", "popular_all_time", "catalogue")
    names = built.rows("items", "item_id")
    first = ladder.rankings.items[: ladder.rankings.indptr[1]]
    assert [names[item] for item in first] == ["z", "q", "p"]
    assert make_ladder(built.configuration, built.folder, np.ones(3, np.bool_)).names == ladder.names[1:]
    half_life, artefact, staging = 0.5, built.train("random"), tmp_path / "staging"
    small_shop.sections["top_n"] = {"n": 3, "shortage": "repeat"}
    counts = recommendations(
        small_shop.configuration(), built.folder, artefact, staging, half_life_days=half_life
    )
    assert counts.users == 3


def test_where_a_floor_serves_the_best_personal_model_that_knows_similar_items_lists_them():
    measured = {"als": 0.1, "item_knn": 0.2, "blend": 0.3, "popularity": 0.4}
    assert similar_model("popularity", measured, [*measured, "random"]) == "item_knn"
    assert similar_model("blend", measured, list(measured)) == "blend"
    assert similar_model("popularity", {}, ["popularity", "als", "item_knn"]) == "als"
    assert similar_model("recent_popularity", measured, ["popularity", "recent_popularity", "blend"]) == (
        "recent_popularity"
    )


def test_repeats_are_recommended_if_configured(shop, built, models, tmp_path):
    configuration = shop.configuration(top_n={"repeats": True})
    recommendations(configuration, built.folder, models["als"], tmp_path)
    by_key, seen = lists(tmp_path / "recommendations.parquet"), history(built)
    assert any(
        item in seen[user] for user, rows in by_key.items() for item, _, source in rows if source == "als"
    )
    assert not [row for rows in by_key.values() for row in rows if row[2] == "seen_before"]
    assert all(len({item for item, _, _ in rows}) == N for rows in by_key.values())


def test_a_shortage_can_be_an_error_that_leaves_no_files(shop, built, models, tmp_path):
    configuration = shop.configuration(top_n={"shortage": "fail"})
    with pytest.raises(
        InputError, match=r"expected 6 unseen items for every user, but 1 of the first 63 users"
    ):
        recommendations(configuration, built.folder, models["als"], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n", [23, 24, 500])
def test_a_list_is_no_longer_than_the_catalogue(shop, built, models, tmp_path, n):
    recommendations(shop.configuration(top_n={"n": n}), built.folder, models["als"], tmp_path)
    for rows in lists(tmp_path / "recommendations.parquet").values():
        assert {item for item, *_ in rows} == {f"i{n:02}" for n in range(ITEMS)} - {BLOCKED, SOLD_OUT}


def test_more_ranks_than_items_are_an_error_where_lists_must_be_full(shop, built, models, tmp_path):
    configuration = shop.configuration(top_n={"n": 24, "shortage": "fail"})
    with pytest.raises(InputError, match=r"top_n\.n: expected at most the 23 items .*, got 24"):
        recommendations(configuration, built.folder, models["als"], tmp_path)


@pytest.mark.parametrize("shortage", ["repeat", "fail"])
def test_no_item_to_recommend_is_an_error_that_says_so(shop, shortage):
    configuration = shop.configuration(top_n={"shortage": shortage})
    with pytest.raises(InputError, match=r"^expected at least one item that may be recommended, got none"):
        rows_per_user(configuration, np.zeros(3, dtype=np.bool_))
    assert rows_per_user(shop.configuration(), np.array([False, True])) == 1


@pytest.mark.parametrize(("model", "n"), [("als", 4), ("item_knn", 4), ("popularity", 4), ("als", 500)])
def test_every_item_has_the_same_number_of_similar_items(  # noqa: PLR0917
    shop, built, models, tmp_path, model, n
):
    configuration = shop.configuration(top_n={"similar": n})
    rows = similar_items(configuration, built.folder, models[model], tmp_path)
    by_key = lists(tmp_path / "similar_items.parquet", "item_id", "similar_item_id")
    assert list(by_key) == built.rows("items", "item_id")
    assert {len(rows) for rows in by_key.values()} == {min(n, ITEMS - 2 - 1)}
    assert rows == sum(len(similar) for similar in by_key.values())
    for item, near in by_key.items():
        similar = [similar_item for similar_item, _, _ in near]
        scores = [score for _, score, _ in near]
        assert len(set(similar)) == len(similar)
        assert not {item, BLOCKED, SOLD_OUT} & set(similar)
        assert np.isfinite(scores).all()
        assert scores == sorted(scores, reverse=True)
    sources = {source for near in by_key.values() for _, _, source in near}
    assert sources <= {model, "co_occurrence", "popular_all_time", "catalogue"}
    assert model == "popularity" or model in sources


def test_an_unknown_item_gets_co_occurring_items_then_popular_ones(shop, tmp_path):
    day = "2026-03-10 12:00:00"
    small_shop = Shop(tmp_path, shop.engine, engine={"threads": 1}, models=SECTIONS["models"])
    small_shop.log(
        ("a", "new", day), ("a", "p", day), ("b", "p", day), ("b", "q", day), ("c", "p", day),
        ("c", "q", day), ("d", "q", day), ("d", "r", day), ("e", "q", day), ("e", "r", day),
        ("f", "lone", day),
    )  # fmt: skip
    small_shop.sections |= {"dataset": {"min_item_users": 2}, "top_n": {"n": 2, "similar": 9}}
    built = small_shop.build()
    similar_items(built.configuration, built.folder, built.train("als"), tmp_path / "staging")
    by_key = lists(tmp_path / "staging" / "similar_items.parquet", "item_id", "similar_item_id")
    assert [(item, source) for item, _, source in by_key["new"]] == [
        ("p", "co_occurrence"),
        *((item, "popular_all_time") for item in ("q", "r", "lone")),
    ]
    assert by_key["new"][0][1] == pytest.approx(3**-0.5)
    assert [item for item, _, _ in by_key["lone"]] == ["q", "p", "r", "new"]
    assert [score for _, score, _ in by_key["lone"]] == [-1, -2, -3, -4]
