"""Lists that do not differ between people are refused, on the first night too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.dataset_world import AS_OF, Built, Shop

from tasks.quality.checks import QualityCheck
from tasks.quality.variety import Variety, variety, variety_checks
from tasks.recommendations.serving import Serving

K, ITEMS, USERS = 3, 60, 40
Ints = npt.NDArray[np.int64]


def write(folder: Path, lists: Ints, scores: Ints | None = None, source: list[str] | None = None) -> Path:
    """Write lists (users, length) as recommendations; the default scores fall with rank."""
    users, length = lists.shape
    rank = np.tile(np.arange(1, length + 1, dtype=np.int32), users)
    table = {
        "user_id": pa.array([f"u{user:03}" for user in np.repeat(np.arange(users), length)]),
        "rank": pa.array(rank),
        "item_id": pa.array([f"i{item:03}" for item in lists.ravel()]),
        "score": pa.array((1.0 / rank if scores is None else scores.ravel()).astype(np.float32)),
        "source": pa.array(np.repeat(source or ["als"] * users, length).tolist()),
    }
    pq.write_table(pa.table(table), folder / "recommendations.parquet")
    return folder / "recommendations.parquet"


ids = pa.array([f"i{item:03}" for item in range(ITEMS)])
DIFFERENT = np.array([[user % ITEMS, (user + 7) % ITEMS, (user + 20) % ITEMS] for user in range(USERS)])


def test_the_figures_by_hand(tmp_path: Path) -> None:
    lists = np.array([[0, 1, 2], [2, 1, 0], [0, 3, 4], [5, 5, 5]])
    scores = np.array([[3, 2, 1], [1, 1, 1], [3, 2, 1], [0, 0, 0]])
    path = write(tmp_path, lists, scores, ["als", "als", "als", "popularity"])
    assert variety(path, ids, ["als"], K) == Variety(3, 5, 1.0, 2 / 3, 1 / 3)
    assert variety(path, ids, ["ease"], K) == Variety(0, 0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, duckdb_engine: object) -> Built:
    """Return a dataset whose catalogue holds the items of the lists."""
    shop = Shop(tmp_path_factory.mktemp("variety"), duckdb_engine, top_n={"n": K})
    times = [f"2026-03-{1 + item % 9:02} 10:{item:02}:00" for item in range(ITEMS)]
    shop.log(*[(f"u{item % 5}", f"i{item:03}", times[item]) for item in range(ITEMS)])
    return shop.build(AS_OF)


def checks_of(built: Built, folder: Path, serving: str = "als") -> dict[str, QualityCheck]:
    checks = variety_checks(built.configuration, built.folder, folder, Serving(serving))
    return {check.check.partition(",")[0].partition(" @")[0]: check for check in checks}


def test_lists_that_differ_pass(built: Built, tmp_path: Path) -> None:
    write(tmp_path, DIFFERENT)
    checks = checks_of(built, tmp_path)
    assert len(checks) == 4
    assert all(check.passed and not check.warning for check in checks.values())


def test_each_kind_of_sameness_is_refused(built: Built, tmp_path: Path) -> None:
    write(tmp_path, np.tile([4, 5, 6], (USERS, 1)), np.ones((USERS, K)))
    assert [name for name, check in checks_of(built, tmp_path).items() if not check.passed] == [
        "distinct items in all lists",
        "most shown item",
        "identical lists",
        "lists of equal scores",
    ]


def test_a_share_near_its_bound_is_a_warning(built: Built, tmp_path: Path) -> None:
    lists = DIFFERENT.copy()
    lists[: USERS * 3 // 10] = [1, 2, 3]
    write(tmp_path, lists)
    check = checks_of(built, tmp_path)["identical lists"]
    assert check.passed
    assert check.warning.startswith("identical lists, share @3: 3")


def test_a_floor_may_give_everybody_the_same_list(built: Built, tmp_path: Path) -> None:
    write(tmp_path, np.tile([4, 5, 6], (USERS, 1)), source=["popularity"] * USERS)
    (check,) = checks_of(built, tmp_path, "popularity").values()
    assert check.observed == "popularity gives everybody the same list"
    (few,) = checks_of(built, tmp_path).values()  # als serves, but all its lists were filled
    assert few.observed == "0 users, fewer than 30"
