"""The lists of models on a holdout: computed, kept, and made by models with other items."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from worlds.dataset_world import Built, Shop

from models.artefact import load
from tasks.evaluation.holdout import Holdout, cut_of, make_holdout
from tasks.evaluation.kept_lists import read_lists

DAY = date(2026, 3, 12)
K = 5


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, duckdb_engine: Any) -> tuple[Built, Built]:
    """Return a dataset of 40 users and 20 items, some new at the end, and that of its past."""
    rng = np.random.default_rng(3)
    shop = Shop(
        tmp_path_factory.mktemp("shop"), duckdb_engine, engine={"threads": 1}, models={"als": {"factors": 4}}
    )
    rows = []
    for user in range(40):
        for step, item in enumerate(rng.permutation(20)[:8]):
            late = step >= 6
            name = f"{'a' if late and item % 3 == 0 else 'm'}{item:02}"  # `a` sorts first
            rows.append((f"u{user:02}", name, f"2026-03-{3 + step:02} {user % 24:02}:00:00"))
    shop.log(*rows)
    full = shop.build(DAY)
    cut = cut_of(full.folder, 0.25)
    return full, shop.build(DAY, until=cut, name="past")


@pytest.fixture(scope="module")
def holdout(worlds: tuple[Built, Built]) -> Holdout:
    full, past = worlds
    return make_holdout(full.configuration, full.folder, past.folder, cut_of(full.folder, 0.25))


@pytest.fixture
def artefact(worlds: tuple[Built, Built], tmp_path: Path) -> Path:
    """Return a model trained on the past, in a folder of the test."""
    return worlds[1].train("als", str(tmp_path / "als"))


def test_lists_have_no_seen_items_and_do_not_depend_on_k_or_other_users(
    worlds: tuple[Built, Built], holdout: Holdout, artefact: Path
) -> None:
    resources, model = worlds[1].configuration.resources, load(artefact)
    whole = holdout.lists(model, K, resources)
    assert whole.shape == (len(holdout), K)
    seen = holdout.seen.toarray() > 0
    assert not any(seen[user, item] for user, items in enumerate(whole) for item in items if item >= 0)
    np.testing.assert_array_equal(holdout.lists(model, 2, resources), whole[:, :2])
    some_users = np.array([3, 0, 7])
    np.testing.assert_array_equal(holdout.lists(model, K, resources, users=some_users), whole[some_users])


def test_kept_lists_are_read_until_k_grows_or_the_model_is_retrained(
    worlds: tuple[Built, Built], holdout: Holdout, artefact: Path
) -> None:
    resources = worlds[1].configuration.resources
    whole = holdout.lists_of(artefact, K, resources)
    arrays = (artefact / "arrays.npz").read_bytes()
    (artefact / "arrays.npz").unlink()
    np.testing.assert_array_equal(holdout.lists_of(artefact, 2, resources), whole[:, :2])
    some_users = replace(holdout, users=holdout.users[2:4])  # of a later cut
    np.testing.assert_array_equal(some_users.lists_of(artefact, K, resources), whole[2:4])
    (artefact / "arrays.npz").write_bytes(arrays)
    longer = holdout.lists_of(artefact, K + 2, resources)
    np.testing.assert_array_equal(longer[:, :K], whole)
    manifest = artefact / "artefact.json"
    manifest.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    (lists_file,) = artefact.parent.glob("*.lists.parquet")
    before = lists_file.read_bytes()
    np.testing.assert_array_equal(holdout.lists_of(artefact, K, resources), whole)
    assert lists_file.read_bytes() != before


def test_damaged_or_missing_kept_lists_are_computed_again(
    worlds: tuple[Built, Built], holdout: Holdout, artefact: Path
) -> None:
    resources = worlds[1].configuration.resources
    few_users = replace(
        holdout,
        users=holdout.users[:2],
        histories=holdout.histories.rows(np.arange(2)),
        seen=holdout.seen[:2],
        relevant=holdout.relevant[:2],
    )
    few_users.lists_of(artefact, K, resources)
    whole = holdout.lists_of(artefact, K, resources)
    np.testing.assert_array_equal(few_users.lists_of(artefact, K, resources), whole[:2])
    (lists_file,) = artefact.parent.glob("*.lists.parquet")
    lists_file.write_bytes(b"PAR1 no more")
    assert read_lists(artefact, "any") is None
    np.testing.assert_array_equal(holdout.lists_of(artefact, K, resources), whole)


def test_a_model_with_other_items_returns_items_of_the_past(
    worlds: tuple[Built, Built], holdout: Holdout, artefact: Path
) -> None:
    full, past = worlds
    resources = full.configuration.resources
    item_ids = full.rows("items", "item_id")
    past_ids = past.rows("items", "item_id")
    assert set(past_ids) < set(item_ids)
    assert item_ids[: len(past_ids)] != past_ids  # the same item has another index
    model = load(full.train("als", "full-als"))
    lists = holdout.lists(model, K, resources, item_ids=pa.array(item_ids))
    assert (lists >= 0).any()
    assert lists.max() < len(past_ids)
    seen = holdout.seen.toarray() > 0
    assert not any(seen[user, item] for user, items in enumerate(lists) for item in items if item >= 0)
    whole, same_ids = load(artefact), pa.array(past_ids)
    np.testing.assert_array_equal(
        holdout.lists(whole, K, resources, item_ids=same_ids), holdout.lists(whole, K, resources)
    )
    unknown = pa.array(range(len(item_ids)))  # ids of another type match none
    assert (holdout.lists(model, K, resources, item_ids=unknown) == -1).all()
