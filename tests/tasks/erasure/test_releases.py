"""Users removed from releases, also from those made before windows could be hours."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
from worlds.release_world import World, whole_days

from sql.interactions.forgotten import KeyedList
from tasks.erasure.releases import erase_releases
from tasks.erasure.subjects import Subjects
from tasks.release.query import popular, query, recommendations_of
from tasks.release.releases import open_release, verify


def test_a_release_with_whole_days_loses_a_user_and_stays_whole(fresh: World) -> None:
    with whole_days():
        release = fresh.publish()
    path = release.table("popular_items")
    assert pq.read_schema(path).field("window_days").type == pa.int32()
    before = popular(fresh.store, "country").to_pylist()
    subjects = Subjects(("10",), KeyedList(b"key", frozenset()), items={101})
    changes = erase_releases(fresh.store, subjects, dry_run=False)
    assert [(change.content, change.rows) for change in changes] == [
        ("recommendations", 3),
        ("popular items of segments with a single user", 1),  # DE: one user, with an item of theirs
    ]
    assert verify(open_release(fresh.store, release.release_id)) == []
    assert recommendations_of(fresh.store, 10).num_rows == 0
    assert recommendations_of(fresh.store, 20).num_rows == 3
    left = popular(fresh.store, "country", window_days=7).to_pylist()
    assert left == [row for row in before if row["segment_value"] == "FR"]
    assert query(fresh.store, "SELECT count(*) AS n FROM popular_items").to_pylist() == [{"n": 3}]
