"""The station `dataset`: interactions in; users, items, the sparse matrix and the sequences out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from sql.engine import Engine, render
from sql.predicate import portable
from tasks.catalogue import CatalogueRows, make_catalogues
from tasks.configuration import Configuration
from tasks.errors import InputError
from tasks.ingest_ledger import Ledger
from tasks.tables import IdTypes

if TYPE_CHECKING:
    from models.dataset import Dataset

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVENT_COLUMNS = ("user_id", "item_id", "timestamp", "event_date", "event_type", "value", "weight", "session_id", "position")


@dataclass(frozen=True)
class DatasetSummary:
    """What a dataset holds: users, items, pairs, those trained on, events, and what catalogues said."""

    users: int
    items: int
    pairs: int
    trained_pairs: int
    events: int
    catalogues: dict[str, CatalogueRows]


def id_types(configuration: Configuration) -> IdTypes:
    """Return the Arrow types of the source's ids."""
    types = {"int64": pa.int64(), "string": pa.string()}
    return IdTypes(types[configuration.source.user_id_type], types[configuration.source.item_id_type])


def end_of(day: date, time_zone: str) -> int:
    """Return the end of a day in a time zone (midnight of the next), in microseconds since 1970 UTC."""
    midnight = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(time_zone))
    return (midnight.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


def make_events(
    configuration: Configuration, ledger: Ledger, engine: Engine, as_of: date, until: int | None = None
) -> None:
    """Make the relation `events`: what happened up to the end of `as_of`, and before `until` if it is given.

    `until` is in microseconds since 1970 UTC: the cut of a holdout.
    """
    settings, source = configuration.dataset, configuration.source
    end = end_of(as_of, source.time_zone)
    since = None
    if settings.history_days is not None:
        since = end_of(as_of - timedelta(days=settings.history_days), source.time_zone)
    parts = ledger.parts((None, as_of.isoformat()))
    if parts:
        engine.parquet("interactions", parts)
    else:
        engine.table("interactions", _no_interactions(configuration))
    engine.table(
        "event_weights",
        pa.table({
            "event_type": pa.array(list(source.event_weights), pa.string()),
            "strength": pa.array(list(source.event_weights.values()), pa.float64()),
        }),
    )
    columns = {*EVENT_COLUMNS, *source.attributes}
    values = {
        "attributes": list(source.attributes),
        "positive": portable(settings.positive, columns, engine.name, table="i") if settings.positive else None,
        "event_weights": bool(source.event_weights),
        "half_life_days": settings.half_life_days,
        "until_micros": min(end, until) if until is not None else end,
        "since_micros": since,
        "replaced": sorted(ledger.replaced()),
    }
    engine.view("events", render("events", values))


def _no_interactions(configuration: Configuration) -> pa.Table:
    """Return interactions of nobody: what the gate judges where nothing was accepted."""
    ids = id_types(configuration)
    types = {
        "user_id": ids.user,
        "item_id": ids.item,
        "timestamp": pa.timestamp("us"),
        "event_date": pa.date32(),
        "value": pa.float64(),
        "weight": pa.float64(),
        "position": pa.int64(),
        "file_id": pa.int32(),
        "line": pa.int64(),
    }
    names = [*EVENT_COLUMNS, *configuration.source.attributes, "file_id", "line"]
    return pa.schema([pa.field(name, types.get(name, pa.string())) for name in names]).empty_table()


def build_dataset(configuration: Configuration, engine: Engine, folder: Path, scratch: Path) -> DatasetSummary:
    """Write users, items, entries, sequences and attributes as Parquet under `folder`.

    The engine has the relation `events`.
    """
    settings = configuration.dataset
    folder.mkdir(parents=True, exist_ok=True)
    id_type = pa.int64() if configuration.source.item_id_type == "int64" else pa.string()
    engine.table("blocked_items", pa.table({"item_id": blocked(configuration, id_type)}))
    catalogues = make_catalogues(configuration, engine, scratch)
    engine.write(render("pairs"), folder / "pairs")
    engine.parquet("pairs", parts_of(folder, "pairs"))
    limits = settings.model_dump(include={"max_user_events", "min_user_items", "min_item_users"})
    engine.materialise("user_totals", render("user_totals", limits))
    engine.materialise("item_totals", render("item_totals", limits))
    engine.number("users", "user_totals", "user_id", "user_index")
    engine.number("items", "item_totals", "item_id", "item_index")
    engine.write("SELECT * FROM users", folder / "users", ["user_index"])
    engine.write("SELECT * FROM items", folder / "items", ["item_index"])
    entries = render("entries", {"alpha": settings.alpha})
    engine.write(entries, folder / "entries", ["user_index", "item_index"])
    order = ["user_index", "timestamp", "position", "file_id", "line"]
    engine.write(render("sequences"), folder / "sequences", order)
    for kind in ("user", "item"):
        engine.write(f"SELECT * FROM {kind}_attributes", folder / f"{kind}_attributes", ["name", "id", "value"])
    figures = engine.fetch("SELECT count(*) AS pairs, sum(events) AS events FROM pairs").to_pylist()[0]
    matrix = read(folder, "entries", ["trained"])
    return DatasetSummary(
        users=rows(folder, "users"),
        items=rows(folder, "items"),
        pairs=figures["pairs"],
        trained_pairs=int(np.count_nonzero(matrix["trained"])),
        events=int(figures["events"] or 0),
        catalogues=catalogues,
    )


def blocked(configuration: Configuration, id_type: pa.DataType) -> pa.Array:
    """Return the block list as ids of the type of the logs."""
    items = configuration.top_n.blocked_items
    try:
        return pa.array([int(item) for item in items] if id_type == pa.int64() else [str(i) for i in items], id_type)
    except ValueError as error:
        raise InputError(f"top_n.blocked_items: expected ids of type {id_type}: {error}") from None


def parts_of(folder: Path, name: str) -> list[Path]:
    """Return the Parquet files of one part of a dataset, in the order of their rows."""
    return sorted((folder / name).glob("*.parquet"))


def rows(folder: Path, name: str) -> int:
    """Return the number of rows of one part of a dataset, from the files' footers."""
    return sum(pq.read_metadata(path).num_rows for path in parts_of(folder, name))


def read(folder: Path, name: str, columns: list[str] | None = None) -> pa.Table:
    """Return one part of a dataset, its files in the order of their names."""
    paths = sorted(str(path) for path in parts_of(folder, name))
    return ds.dataset(paths, format="parquet").to_table(columns=columns)


def load_dataset(folder: Path) -> Dataset:
    """Return the training data of a dataset on disk, as arrays.

    The matrix, CSR float32 (users, items), holds the weights of pairs that are trained on.
    """
    from models.dataset import Dataset

    shape = (rows(folder, "users"), rows(folder, "items"))
    entries = read(folder, "entries")
    matrix = _matrix(entries.filter(entries["trained"]), shape)
    return Dataset(matrix=matrix, sequences=_sequences(folder, shape[0]))


def load_histories(folder: Path) -> Any:
    """Return every known user's history, trained on or not: the weights of items that are trained on."""
    from models.dataset import Histories

    shape = (rows(folder, "users"), rows(folder, "items"))
    entries = read(folder, "entries", ["user_index", "item_index", "weight"])
    trained = read(folder, "items", ["trained"])["trained"].take(entries["item_index"])
    counts = pc.and_(pc.greater(entries["weight"], 0), trained)
    return Histories(_matrix(entries.filter(counts), shape), _sequences(folder, shape[0]))


def load_seen(folder: Path) -> Any:
    """Return every pair that ever met as CSR float32 (users, items) of ones."""
    shape = (rows(folder, "users"), rows(folder, "items"))
    seen = _matrix(read(folder, "entries"), shape)
    seen.data[:] = 1
    return seen


def _sequences(folder: Path, n_users: int) -> Any:
    from models.dataset import Sequences

    events = read(folder, "sequences", ["user_index", "item_index", "timestamp"])
    return Sequences(
        _indptr(events["user_index"].to_numpy(), n_users),
        np.ascontiguousarray(events["item_index"].to_numpy()),
        events["timestamp"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(),
    )


def _matrix(entries: pa.Table, shape: tuple[int, int]) -> Any:
    """Return sorted (user_index, item_index, weight) rows as CSR, without sorting or copying row by row."""
    from scipy import sparse

    columns = entries["item_index"].to_numpy()
    indptr = _indptr(entries["user_index"].to_numpy(), shape[0]).astype(np.int32 if len(columns) < 2**31 else np.int64)
    data = np.array(entries["weight"].to_numpy(), dtype=np.float32)
    return sparse.csr_array((data, columns.astype(indptr.dtype), indptr), shape=shape)


def _indptr(users: Any, n_users: int) -> Any:
    counts = np.bincount(users, minlength=n_users) if len(users) else np.zeros(n_users, np.int64)
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
