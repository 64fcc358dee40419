"""A catalogue of several files in any format of the logs: one catalogue, whose last rows count."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from worlds.dataset_world import Shop
from worlds.engines import SPARK_IN_TORTURE
from worlds.iceberg_world import catalog_at, folder_of, written

from tasks.configuration.sections import Catalogue, ItemCatalogue
from tasks.dataset.catalogue_files import read_catalogue
from tasks.runtime.errors import InputError

ITEMS = {"id": "id", "title": "title", "available": "sold", "attributes": {"tag": "tags"}}


def catalogue(path: object, **keys: object) -> ItemCatalogue:
    return ItemCatalogue.model_validate(ITEMS | {"path": path} | keys)


def write(folder: Path) -> None:
    """Write a folder of four files: CSV, gzip, JSON lines with lists, and Parquet with lists."""
    (folder / "deep").mkdir(parents=True)
    (folder / "a.csv").write_text("id,title,sold,tags\ni,Old,no,red\nj,J,yes,red|blue\nbroken\n")
    with gzip.open(folder / "deep" / "b.csv.gz", "wt") as file:
        file.write("title,id\nNew,i\nNewer,i\n")
    rows = [
        {"id": "k", "title": "K", "sold": False, "tags": ["red", "x|y", "", None, 7, {"deep": 1}, "-"]},
        {"id": "l", "title": "[L]", "sold": None, "tags": "[plain|text"},
        {"id": "m", "title": "M", "tags": []},
    ]
    (folder / "deep" / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = pa.table({"id": ["n", "o"], "sold": [True, False], "tags": [["a", "b"], None]})
    pq.write_table(table, folder / "deep" / "d.parquet")
    (folder / "README.md").write_text("not a catalogue")
    (folder / "empty.csv").write_text("")


@SPARK_IN_TORTURE
def test_all_files_of_a_folder_make_one_catalogue(engine, tmp_path):
    shop = Shop(tmp_path, engine)
    shop.log(*(("u", item, "2026-03-10 12:00:00") for item in "ijklmno"))
    write(tmp_path / "items")
    items = catalogue(str(tmp_path / "items"), separator="|", null_values=["-"])
    built = shop.build(items=items.model_dump(), name="built")
    assert built.rows("items", "item_id", "title", "available") == [
        ("i", "Newer", True), ("j", "J", True), ("k", "K", False), ("l", "[L]", True), ("m", "M", True),
        ("n", None, True), ("o", None, False),
    ]  # fmt: skip
    values = built.rows("item_attributes", "id", "value")
    assert sorted(values) == [
        ("j", "blue"), ("j", "red"),
        ("k", "7"), ("k", "red"), ("k", "x|y"), ("k", '{"deep": "1"}'),
        ("l", "[plain"), ("l", "text"), ("n", "a"), ("n", "b"),
    ]  # fmt: skip
    counts = built.summary.catalogues["items"]
    assert (counts.files, counts.rows, counts.rejected) == (4, 9, {"ragged_line": 1})
    below = f"{tmp_path}/items"
    assert list(counts.warnings("items")) == [
        f"[items] not read: 1 empty ({below}/empty.csv)",
        f"[items] not read: 1 of unknown format or compression ({below}/README.md)",
        f"[items] catalogue: column 'tags' is empty in 1 file, which lacks it ({below}/deep/b.csv.gz)",
        f"[items] catalogue: column 'title' is empty in 1 file, which lacks it ({below}/deep/d.parquet)",
        f"[items] catalogue: column 'sold' is empty in 1 file, which lacks it ({below}/deep/b.csv.gz)",
        f"[items] catalogue: 1 rows could not be read: ragged_line (such as {below}/a.csv:4)",
    ]


@pytest.mark.parametrize("paths", ["*.csv", "[ab].*", ["b.csv", "a.csv"]])
def test_globs_and_several_paths_are_read_in_the_order_of_names(tmp_path, paths):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"id,title,sold,tags\ni,{name},yes,\n")
    given = [f"{tmp_path}/{path}" for path in ([paths] if isinstance(paths, str) else paths)]
    main = read_catalogue("items", catalogue(given), tmp_path / "scratch").main
    assert main["title"].to_pylist() == ["a", "b"]
    assert main["file_id"].to_pylist() == [0, 1]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("id,title,sold\nj,J,maybe\n", r"got 'maybe' in line 2 of .*b\.csv"),
        ("key,title\nj,J\n", r"\[users\] .*b\.csv: expected column 'id'"),
    ],
)
def test_a_mistake_in_one_of_several_files_names_it(tmp_path, content, complaint):
    (tmp_path / "a.csv").write_text("id,title,sold,tags\ni,I,yes,\n")
    (tmp_path / "b.csv").write_text(content)
    with pytest.raises(InputError, match=complaint):
        read_catalogue("users", catalogue(str(tmp_path)), tmp_path / "scratch")


def test_the_latest_version_of_a_delta_table_counts_and_its_folders_tell_columns(tmp_path):
    rows = pa.table({"id": ["i", "j", "k"], "tags": ["D É/%", None, "b"], "sold": [False, True, True]})
    write_deltalake(tmp_path / "t", pa.table({"id": ["gone"], "tags": ["x"], "sold": [True]}))
    write_deltalake(
        tmp_path / "t", rows, mode="overwrite", schema_mode="overwrite", partition_by=["tags", "sold"]
    )
    read = read_catalogue("items", catalogue(str(tmp_path / "t"), title=None), tmp_path / "scratch")
    assert sorted(zip(*read.main.select(["id_text", "available"]).to_pydict().values(), strict=True)) == [
        ("i", False),
        ("j", True),
        ("k", True),
    ]
    assert sorted(zip(*read.attributes.select(["id_text", "value"]).to_pydict().values(), strict=True)) == [
        ("i", "D É/%"),
        ("k", "b"),
    ]
    assert (read.counts.absent, [part.files for part in read.counts.left_out]) == ({}, [1])


def test_a_folder_tells_a_column_to_any_catalogue(tmp_path):
    for tag in ("red", "blue"):
        (tmp_path / "t" / f"tags={tag}").mkdir(parents=True)
        (tmp_path / "t" / f"tags={tag}" / "a.csv").write_text(f"id,title,sold\n{tag[0]},T,yes\n")
    read = read_catalogue("items", catalogue(str(tmp_path / "t")), tmp_path / "scratch")
    assert read.attributes.select(["id_text", "value"]).to_pydict() == {
        "id_text": ["b", "r"],
        "value": ["blue", "red"],
    }


def test_a_column_that_no_file_has_is_misspelt(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("id,tag\ni,red\n")
    users = Catalogue.model_validate({"path": str(tmp_path), "id": "id", "attributes": {"tag": "tags"}})
    with pytest.raises(InputError, match=r"\[users\] .*a\.csv: expected column 'tags', which no file has"):
        read_catalogue("users", users, tmp_path / "scratch")
    with pytest.raises(InputError, match=r"\[users\] path = .*/none: no such file or folder"):
        read_catalogue("users", users.model_copy(update={"path": f"{tmp_path}/none"}), tmp_path / "scratch")


def test_an_iceberg_table_has_the_columns_that_it_names_now(tmp_path):
    with catalog_at(tmp_path / "warehouse") as iceberg:
        rows = pa.table({"id": ["i", "j"], "labels": ["a", None], "sold": [False, True]})
        table = written(iceberg, "items", rows)
        with table.update_schema() as schema:
            schema.rename_column("labels", "tags")
        table.append(pa.table({"id": ["k"], "tags": ["b"], "sold": [True]}))
    read = read_catalogue("items", catalogue(str(folder_of(table)), title=None), tmp_path / "scratch")
    assert sorted(zip(*read.main.select(["id_text", "available"]).to_pydict().values(), strict=True)) == [
        ("i", False),
        ("j", True),
        ("k", True),
    ]
    assert sorted(read.attributes["value"].to_pylist()) == ["a", "b"]
    assert (read.counts.absent, read.counts.left_out) == ({}, [])
