"""A reader that joins the active release's tables with one of four tools until it is stopped.

Arguments: the tool, the store, a folder for its counter and the sign to stop, and the seconds for
which a formerly active release is kept. It prints the numbers of whole, torn and late reads; late
reads took longer than these seconds and missed their release.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TABLES = ("recommendations", "similar_items", "popular_items", "model_metrics", "validation_results")
JOIN = """
SELECT r.source, count(*) AS rows, (SELECT release_id FROM release_info) AS release_id,
       (SELECT min(users) || ' ' || max(users) FROM popular_items) AS users
FROM recommendations AS r
JOIN similar_items AS s ON s.item_id = r.item_id AND s.source = r.source
JOIN model_metrics AS m ON m.model = r.source
JOIN validation_results AS v ON v.observed = r.source
GROUP BY r.source
"""
Read = tuple[str, list[tuple[Any, ...]]]
"""The active release, and the result of the join: model name, rows, users."""


def pointed(store: Path) -> Path:
    """Follow the pointer, as docs/tables.md says."""
    return store / "releases" / json.loads((store / "current.json").read_text())["release_id"]


def duckdb_reads(store: Path, pause: float) -> Read:
    import duckdb

    folder = pointed(store)
    time.sleep(pause)
    with duckdb.connect(str(folder / "nightshelf.duckdb"), read_only=True) as con:
        rows = con.execute(JOIN).fetchall()
    assert [row[2] for row in rows] == [folder.name], rows
    return folder.name, [(source, count, users) for source, count, _, users in rows]


def pyarrow_reads(store: Path, pause: float) -> Read:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    folder, tables = pointed(store), {}
    for name in TABLES:
        tables[name] = pq.ParquetFile(folder / f"{name}.parquet").read()
        time.sleep(pause)
    keys = ["item_id", "source"]
    joined = tables["recommendations"].select(keys)
    joined = joined.join(tables["similar_items"].select(keys), keys, join_type="inner")
    joined = joined.join(tables["model_metrics"].select(["model"]), "source", "model", join_type="inner")
    checks = tables["validation_results"].select(["observed"])
    joined = joined.join(checks, "source", "observed", join_type="inner")
    ends = pc.min_max(tables["popular_items"]["users"]).as_py()
    counts = joined.group_by("source").aggregate([([], "count_all")]).to_pylist()
    return folder.name, [(row["source"], row["count_all"], f"{ends['min']} {ends['max']}") for row in counts]


def pandas_reads(store: Path, pause: float) -> Read:
    import pandas as pd

    folder, tables = pointed(store), {}
    for name in TABLES:
        tables[name] = pd.read_parquet(folder / f"{name}.parquet")
        time.sleep(pause)
    joined = tables["recommendations"].merge(tables["similar_items"], on=["item_id", "source"])
    joined = joined.merge(tables["model_metrics"][["model"]], left_on="source", right_on="model")
    checks = tables["validation_results"][["observed"]]
    joined = joined.merge(checks, left_on="source", right_on="observed")
    users = tables["popular_items"]["users"]
    counts = joined.groupby("source").size().to_dict()
    return folder.name, [(source, n, f"{users.min()} {users.max()}") for source, n in counts.items()]


def query_reads(store: Path, pause: float) -> Read:
    from typer.testing import CliRunner

    from flows.command_line import app

    time.sleep(pause)
    result = CliRunner().invoke(app, ["query", JOIN, "--json", "--store", str(store)])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    rows = answer["rows"]
    assert [row["release_id"] for row in rows] == [answer["release_id"]], rows
    return answer["release_id"], [(row["source"], row["rows"], row["users"]) for row in rows]


TOOLS: dict[str, Callable[[Path, float], Read]] = {
    "duckdb": duckdb_reads,
    "pyarrow": pyarrow_reads,
    "pandas": pandas_reads,
    "query": query_reads,
}


def wanted(release_id: str) -> list[tuple[Any, ...]]:
    """Return the result for a whole release, whose number is in every table."""
    number = int(release_id.rpartition("-r")[2])
    return [(f"m{number}", 6, f"{number} {number}")]


def main(tool: str, store: Path, signs: Path, grace: float) -> None:
    found: dict[str, Any] = {"whole": 0, "torn": [], "late": 0, "releases": 0}
    seen = set()
    with (signs / tool).open("ab", buffering=0) as counter:
        while not (signs / "stop").exists():
            pause = 0.05 if found["whole"] % 10 == 9 else 0.0  # some reads are slow and span publications
            started = time.monotonic()
            try:
                release_id, rows = TOOLS[tool](store, pause)
                if rows == wanted(release_id):
                    found["whole"] += 1
                    seen.add(release_id)
                else:
                    found["torn"].append([release_id, rows])
            except Exception as error:
                if time.monotonic() - started > grace:
                    found["late"] += 1
                else:
                    found["torn"].append(repr(error))
            counter.write(b".")
    print(json.dumps(found | {"releases": len(seen)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
