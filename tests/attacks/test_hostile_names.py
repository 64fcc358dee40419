"""Two hundred hostile names wherever a name comes in: none is run, none leads out, each is data or refused.

What they would write is a canary file; what they would change is compared before and after.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.dataset_world import AS_OF, Shop, parquet_rows
from worlds.hostile_names import SQL, hostile_names

from models import registry
from sql.engines.duckdb_engine import DuckDBEngine
from sql.errors import EngineError
from sql.source import NAME
from tasks.configuration.configuration import Configuration, load
from tasks.configuration.file import store_path
from tasks.dataset.parts import read
from tasks.interactions.ledger import Ledger
from tasks.interactions.source_files import fetch, find
from tasks.runtime.errors import EXPECTED, ConfigurationError, StoreError
from tasks.store.layout import Store
from tasks.store.names import checked_name, is_release_id

SPARK, TORTURE = pytest.mark.spark, pytest.mark.torture
ENGINES = ["duckdb", pytest.param("spark", marks=[SPARK, TORTURE])]
AT_ONCE = {"duckdb": 60, "spark": 6}  # columns of a log: the more, the longer an engine plans
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
SOURCE = '[source]\npath = "logs"\n[source.columns]\nuser = "u"\nitem = "i"\ntimestamp = "t"\n'


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """Give a file that is there only if a name was executed."""
    canary = tmp_path / "canary"
    yield canary
    assert not canary.exists()


@pytest.fixture
def names(canary: Path) -> list[str]:
    names = hostile_names(canary)
    assert len(names) > 200
    return names


@pytest.fixture
def engine_of(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Any]]:
    """Return what gives an engine by its name."""
    opened = []

    def engine(name: str) -> Any:
        if name == "spark":
            return request.getfixturevalue("spark_engine")
        opened.append(DuckDBEngine(tmp_path / "engine", 2**30, 1))
        return opened[-1]

    yield engine
    for one in opened:
        one.close()


def tree(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def toml(text: str) -> str:
    """Return a text as TOML has it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


NAMING = {
    "attribute": 'source.attributes = {{{name} = "x"}}',
    "rule": 'source.quarantine = [{{name = {name}, where = "value < 0"}}]',
    "excluding rule": 'source.exclude = [{{name = {name}, where = "value < 0"}}]',
    "item attribute": 'source.attributes = {{x = "x"}}\nitems.attributes = {{{name} = "x"}}',
    "user attribute": 'source.attributes = {{x = "x"}}\nusers.attributes = {{{name} = "x"}}',
    "segment": "popular.segments = [{name}]",
    "fallback segment": "popular.fallback_segment = {name}",
    "judged segment": "quality.segments = [{name}]",
    "served segment": "train.serve_by_segment.by = {name}",
    "model": "train.models = [{name}]",
    "served model": "train.serve = {name}",
    "model of a segment": "train.serve_by_segment.models = {{new = {name}}}",
    "settings": "models = {{{name} = {{}}}}",
    "setting": "models.als = {{{name} = 1}}",
    "metric": "quality.metric = {name}",
    "engine": "engine.name = {name}",
    "section": "{name} = 1",
    "key": "engine = {{{name} = 1}}",
    "time zone": "source.time_zone = {name}",
    "predicate": 'source.exclude = [{{name = "x", where = {name}}}]',
    "positive": "dataset.positive = {name}",
}
"""Keys that name something in the SQL, in the code or among files, each with a place for the name."""


@pytest.mark.parametrize("key", NAMING)
def test_a_name_in_the_configuration_is_a_plain_one_or_refused(
    key: str, names: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "nightshelf.toml"
    taken = []
    for name in names:
        head = NAMING[key].format(name=toml(name))
        columns = '[source.columns]\nuser = "u"\nitem = "i"\ntimestamp = "t"\n'
        path.write_text(f'source.path = "logs"\n{head}\n{columns}', encoding="utf-8")
        with suppress(ConfigurationError):
            load(path)
            taken.append(name)
    if key in {"predicate", "positive"}:
        return  # parsed when they are used: tests/sql/interactions/test_predicate.py, and the next test
    known = {*registry.known(), "best", "GMT", "UTC"}
    assert all(NAME.fullmatch(name) or name in known for name in taken), taken
    assert len(taken) < 20


def test_a_name_as_a_predicate_is_refused_or_compares_columns(names: list[str]) -> None:
    """What is taken runs as one statement over the columns, and reads and writes nothing else."""
    from sql.interactions.predicate import portable

    opened, taken = duckdb.connect(config={"enable_external_access": "false"}), 0
    opened.execute("CREATE TABLE t AS SELECT 1.5 AS value, 'a' AS kind")
    for name in names:
        for text in (
            name,
            f"{name} = 1",
            f"value = {name}",
            f"'{name}' = kind",
            f'"{name}" = 1',
            f"({name})",
        ):
            with suppress(EngineError):
                query = f"SELECT count(*) FROM t WHERE {portable(text, {'value', 'kind'}, 'duckdb')}"
                # text compared with a number, or one comparison with another: DuckDB's to refuse
                with suppress(duckdb.ConversionException, duckdb.BinderException, duckdb.ParserException):
                    assert [one.type.name for one in opened.extract_statements(query)] == ["SELECT"]
                    assert opened.execute(query).fetchall() in ([(0,)], [(1,)])
                taken += 1
    assert taken > 100
    assert opened.execute("SELECT * FROM t").fetchall() == [(1.5, "a")]


def columns_of(names: list[str], suffix: str) -> list[str]:
    """Return the names that a column of such a file can have."""
    kept = [name for name in names if name.strip()]
    if suffix == "csv":
        kept = list(dict.fromkeys(name.strip() for name in kept if not {"\n", "\r", "\0"} & {*name}))
    return kept


def hostile_log(names: list[str], suffix: str, path: Path) -> dict[str, str]:
    """Write a log whose columns have these names, two rows of it; return column -> value of the first."""
    columns = {name: f"v{number}" for number, name in enumerate(names)}
    fixed = {"user col": ["u", "u"], "item col": ["i", "j"], "time col": ["2026-03-10 12:00:00", "never"]}
    table = {**fixed, **{name: [value, value] for name, value in columns.items()}}
    if suffix == "parquet":
        pq.write_table(pa.table(table), path)
    elif suffix == "jsonl":
        rows = [{name: values[row] for name, values in table.items()} for row in (0, 1)]
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        quoted = [[f'"{name.replace(chr(34), chr(34) * 2)}"' for name in table]]
        quoted += [[values[row] for values in table.values()] for row in (0, 1)]
        path.write_text("\n".join(map(",".join, quoted)), encoding="utf-8")
    return columns


@pytest.mark.parametrize(
    ("engine", "suffix", "only"),
    [
        ("duckdb", "parquet", SQL),
        pytest.param("duckdb", "parquet", None, marks=TORTURE),
        pytest.param("duckdb", "csv", None, marks=TORTURE),
        pytest.param("duckdb", "jsonl", None, marks=TORTURE),
        pytest.param("spark", "parquet", SQL[20:26], marks=[SPARK, TORTURE]),
        pytest.param("spark", "jsonl", SQL, marks=[SPARK, TORTURE]),
    ],
)
def test_columns_of_these_names_are_read_as_what_they_hold(  # noqa: PLR0917
    engine: str, suffix: str, only: Any, names: list[str], engine_of: Any, tmp_path: Path
) -> None:
    opened, kept = engine_of(engine), columns_of([*(only or names)], suffix)
    short, long = ([name for name in kept if (len(name) > 300) == is_long] for is_long in (False, True))
    width = AT_ONCE[engine]
    chunks = [short[start : start + width] for start in range(0, len(short), width)]
    for number, chunk in enumerate([*chunks, long] if long else chunks):
        require_read(Shop(tmp_path / f"shop{number}", opened), chunk, suffix)


def require_read(shop: Shop, names: list[str], suffix: str) -> None:
    """Take in a log whose columns have these names: its good row is kept and its bad one in quarantine."""
    columns = hostile_log(names, suffix, shop.folder / "logs" / f"a.{suffix}")
    attributes = {f"a{number:03d}": name for number, name in enumerate(columns)}
    source = {
        "columns": {"user": "user col", "item": "item col", "timestamp": "time col"},
        "attributes": attributes,
        "null_values": ["", *names[:10]],
    }
    done = shop.ingest(source=source)
    assert (done.counts.accepted, done.counts.rules) == (1, {"timestamp_unreadable": 1})
    (row,) = parquet_rows(Ledger.read(shop.store).parts(), *attributes)
    assert dict(zip(columns, row, strict=True)) == columns
    (raw,) = parquet_rows(sorted(shop.store.quarantine.rglob("*.parquet")), "raw")
    found = json.loads(raw if isinstance(raw, str) else raw[0])
    assert {name: found[name] for name in columns} == columns
    assert {path.suffix for path in shop.store.root.rglob("*") if path.is_file()} <= {".parquet", ".json"}


@pytest.mark.parametrize("engine", ENGINES)
def test_values_of_these_texts_are_ids_types_titles_and_segments(
    engine: str, names: list[str], engine_of: Callable[[str], Any], tmp_path: Path
) -> None:
    kept = [name for name in names if name.strip() and "\0" not in name]  # a NUL is quarantined
    shop = Shop(tmp_path / "shop", engine_of(engine))
    columns = {"user": kept, "item": kept[::-1], "type": kept, "colour": kept, "session": kept}
    table = pa.table({**columns, "time": [NOON] * len(kept)})
    pq.write_table(table, tmp_path / "shop" / "logs" / "a.parquet")
    catalogue = pa.table({"id": kept, "title": kept, "land": kept, "sold": kept})
    pq.write_table(catalogue, tmp_path / "shop" / "items.parquet")
    shop.sections = {
        "source": {
            "columns": {"user": "user", "item": "item", "timestamp": "time", "event_type": "type"},
            "attributes": {"colour": "colour"},
            "event_weights": {name: 1.0 + number for number, name in enumerate(kept)},
        },
        "items": {
            "path": str(tmp_path / "shop" / "items.parquet"), "id": "id", "title": "title",
            "attributes": {"land": "land"}, "available": "sold", "separator": "; DROP TABLE x; --",
        },
        "users": {"attributes": {"shade": "colour"}},
        "popular": {"segments": ["land", "shade"], "fallback_segment": "shade"},
        "top_n": {"blocked_items": kept[:5]},
    }  # fmt: skip
    built = shop.build()
    assert built.summary.events == len(kept)
    assert sorted(built.rows("users", "user_id")) == sorted(kept)
    assert dict(built.rows("items", "item_id", "title")) == {name: name for name in kept}
    values = {value for name, value in built.popular("segment", "segment_value") if name == "shade"}
    assert values == {user for user, item in zip(kept, kept[::-1], strict=True) if item not in kept[:5]}
    assert len(read(built.folder, "entries")) == len(kept)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_folder_of_any_name_is_that_folder(
    engine: str, names: list[str], engine_of: Callable[[str], Any], tmp_path: Path
) -> None:
    """What an engine writes below a folder, it reads back from there and from nowhere else."""
    opened, place = engine_of(engine), tmp_path / "folders"
    possible = [name for name in names if fits(name)]  # the path of a store
    assert len(possible) > 120
    special = [name for name in possible if {*name} & {*"*?[]{}\\,%#"}]  # and not the colon: Hadoop's own
    chosen = possible if engine == "duckdb" else [name for name in special if ":" not in name][::8]
    for number, name in enumerate(chosen):
        folder = place / str(number) / name  # DuckDB's globs fail beside a name that begins with a backslash
        opened.write(f"SELECT {number} AS n", folder)
        assert [path for path in folder.iterdir() if path.suffix == ".parquet"]
        opened.parquet("back", sorted(folder.glob("*.parquet")))
        assert opened.fetch("SELECT n FROM back").to_pydict() == {"n": [number]}, name
        assert [path.name for path in folder.parent.iterdir()] == [name]
    assert not [path for path in tmp_path.iterdir() if path.name not in {"folders", "engine"}]


def fits(name: str) -> bool:
    """Tell whether a file system takes the name for one file."""
    return name not in {"", ".", ".."} and not {"/", "\0"} & {*name} and len(name.encode()) < 200


def test_no_name_is_an_id_that_leads_out_of_the_store(names: list[str], tmp_path: Path) -> None:
    store = Store(tmp_path / "store").create()
    before = tree(tmp_path)
    taken = set()
    for name in names:
        for path, arguments in (
            (store.run, ("2026-03-10", name)),
            (store.run, (name, "r1")),
            (store.model, ("2026-03-10", "r1", name)),
            (store.tuning, (name,)),
            (store.ingest, (name,)),
            (store.release, (name,)),
            (store.release, (f"2026-03-10-{name}",)),
            (store.report, (f"2026-03-10-{name}",)),
        ):
            with suppress(StoreError):
                found = path(*arguments)  # type: ignore[operator]
                taken.add(name)
                assert found.resolve().is_relative_to(store.root.resolve())
                assert all(part.isascii() and not {*part} & {*" '\"%;\\"} for part in found.parts[-1:])
        assert not is_release_id(name)
    assert all(checked_name("name", name) for name in taken)
    assert tree(tmp_path) == before


def test_a_store_of_any_path_stays_where_it_is(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[store] path is its author's choice; what it names is made, or refused, and nothing beside it."""
    config, made = tmp_path / "a" / "b" / "nightshelf.toml", 0
    config.parent.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in names:
        text = f"[store]\npath = {toml(name)}\n{SOURCE}"
        config.write_text(text, encoding="utf-8")
        try:
            place = store_path(config)
            assert load(config).store.path == place
            with suppress(PermissionError):  # /proc/1/root
                real = os.path.realpath(place)
            if not real.startswith(str(tmp_path)) or name.startswith(".."):
                continue  # devices, and folders that are not this test's
            Store(place).create()
        except EXPECTED:
            continue
        made += 1
        assert (Path(real) / "releases").is_dir(), name
    assert made > 100


@pytest.mark.parametrize("section", ["source", "items", "users"])
def test_a_path_of_logs_or_of_a_catalogue_is_read_as_files_or_refused_soon(
    section: str, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.interactions.source_files import find_one

    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "logs").mkdir()
    for name in names:
        if name.startswith(("http://", "s3://")) or is_folder_of_others(name, tmp_path):
            continue  # the network, and all of this machine, which the author of a configuration may name
        path = tmp_path / "nightshelf.toml"
        text = SOURCE.replace('"logs"', toml(name)) if section == "source" else SOURCE
        path.write_text(text, encoding="utf-8")
        with suppress(*EXPECTED):
            if section == "source":
                for file in find(load(path).source, date(2026, 3, 10)):
                    assert Path(file.address).is_file(), name
            else:
                find_one(name, section)


def is_folder_of_others(name: str, folder: Path) -> bool:
    """Tell whether a path, from `folder`, is a folder that is not this test's own, or a pattern over them."""
    name = os.path.expanduser(name)  # noqa: PTH111
    place = os.path.normpath(os.path.join(folder, name.split("*")[0]))  # noqa: PTH118 - as text
    return "\0" not in name and not place.startswith(f"{folder}/") and os.path.isdir(place)  # noqa: PTH112


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "gone", "loop", "folder"])
def test_what_is_among_the_logs_and_no_file_is_refused(kind: str, tmp_path: Path) -> None:
    import socket

    from tasks.runtime.errors import InputError

    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.csv").write_text("u,i,t\n")
    other, opened = logs / "b.csv", None
    if kind == "pipe":
        os.mkfifo(other)
    elif kind == "socket":
        opened = socket.socket(socket.AF_UNIX)
        opened.bind(str(other))
    else:
        targets = {"device": "/dev/zero", "gone": "nowhere", "loop": "b.csv", "folder": "/etc"}
        other.symlink_to(targets[kind])
    source = {"columns": {"user": "u", "item": "i", "timestamp": "t"}}
    for path in (str(logs), str(logs / "*.csv"), *([] if kind == "folder" else [str(other)])):
        configuration = Configuration.model_validate({"source": {**source, "path": path}})
        with pytest.raises(InputError, match=r"b\.csv"):
            find(configuration.source, AS_OF)
    if opened is not None:
        opened.close()


def test_no_name_of_a_log_leads_to_another_file(tmp_path: Path) -> None:
    """To fsspec, `x::/path` is the file at /path: by such a folder a log could name any file."""
    shop = Shop(tmp_path / "shop", None)
    (tmp_path / "elsewhere.csv").write_text("user,item,time\nsecret,i,2026-03-10 12:00:00\n")
    below = shop.folder / "logs" / "x::" / str(tmp_path).strip("/")
    below.mkdir(parents=True)
    (below / "elsewhere.csv").write_text("user,item,time\nown,i,2026-03-10 12:00:00\n")
    (shop.folder / "logs" / "simplecache::b.csv").write_text("user,item,time\nown,j,2026-03-10 12:00:00\n")
    found = find(shop.configuration().source, AS_OF)
    texts = [fetch(file, tmp_path / "fetched").read_text() for file in found]
    assert len(texts) == 2
    assert all("own" in text and "secret" not in text for text in texts)
