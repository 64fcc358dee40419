"""The list of users who asked to be forgotten: keyed hashes of their ids, which keep them out of new logs.

`<store>/forgotten.json` holds a random key, the hashes, and those of a removal that has not ended yet. No id
is in it; who can read the file can still test whether an id that they know is listed.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tasks.runtime.errors import StoreError
from tasks.store.files import read_json, write_json_atomically, writing

if TYPE_CHECKING:
    from sql.engines.engine import Engine
    from sql.interactions.forgotten import KeyedList
    from tasks.store.layout import Store

NAME: Final = "forgotten.json"
FORMAT: Final = 1
_KEY_BYTES: Final = 32


@dataclass(frozen=True)
class Forgotten:
    """What forgotten.json says: the key, the hashes of all, and of those whose removal has not ended."""

    key: bytes
    digests: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()

    def keyed(self, digests: Collection[str] | None = None) -> KeyedList:
        """Return the list, or a part of it, as the engines compare it with ids."""
        from sql.interactions.forgotten import KeyedList

        return KeyedList(self.key, self.digests if digests is None else frozenset(digests))


def read_forgotten(store: Store) -> Forgotten:
    """Return the list of a store; where nobody was forgotten, an empty one with a key of its own.

    StoreError when it is damaged: without it, who was forgotten would come back.
    """
    path = store.root / NAME
    if not path.exists():
        return Forgotten(secrets.token_bytes(_KEY_BYTES))
    content = read_json(path)
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}")
        return Forgotten(
            bytes.fromhex(content["key"]), frozenset(content["digests"]), frozenset(content["pending"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is damaged ({error!r}); restore it from a backup") from None


def unfinished(store: Store) -> str | None:
    """Return a warning where a removal was cut off, None where none was."""
    try:
        waiting = len(read_forgotten(store).pending)
    except StoreError as error:
        return str(error)
    if not waiting:
        return None
    return f"`nightshelf forget` did not end for {waiting} users: the same command again removes what is left"


def remember(store: Store, user_ids: Iterable[object]) -> Forgotten:
    """Put users on the list, their removal not ended yet; return it. The caller holds the store's lock."""
    known = read_forgotten(store)
    new = {known.keyed().digest(user_id) for user_id in user_ids}
    return _written(store, Forgotten(known.key, known.digests | new, known.pending | new))


def settle(store: Store, user_ids: Iterable[object]) -> Forgotten:
    """Note that the removal of these users has ended. The caller holds the store's lock."""
    known = read_forgotten(store)
    done = {known.keyed().digest(user_id) for user_id in user_ids}
    return _written(store, Forgotten(known.key, known.digests, known.pending - done))


def _written(store: Store, listed: Forgotten) -> Forgotten:
    content = {
        "format": FORMAT,
        "key": listed.key.hex(),
        "digests": sorted(listed.digests),
        "pending": sorted(listed.pending),
    }
    path = store.root / NAME
    write_json_atomically(path, content)
    with writing(path):
        path.chmod(0o600)  # readers of the tables have no need of it
    return listed


def keep_out(engine: Engine, store: Store, relation: str) -> bool:
    """Make the relation `forgotten_users` where a removal has not ended; tell whether that is so."""
    known = read_forgotten(store)
    if known.pending:
        from sql.interactions.forgotten import make_forgotten_users

        make_forgotten_users(engine, relation, known.keyed(known.pending))
    return bool(known.pending)


def screened(table: Any, listed: KeyedList) -> Any:
    """Return quarantined rows as they may be kept, as pyarrow Table: without users who were forgotten.

    Gone are their rows; and the text of a row whose user could not be read, since whose it is cannot be
    known, or that names one of them in another column.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    users = table["user_id"]
    distinct = pc.unique(users.combine_chunks()).drop_null()
    gone = pa.array([one.as_py() for one in distinct if listed.holds(one.as_py())], distinct.type)
    kept = table.filter(pc.invert(pc.is_in(users, value_set=gone)))
    raws = [
        None if user is None or raw is None or _names(raw, listed) else raw
        for user, raw in zip(kept["user_id"].to_pylist(), kept["raw"].to_pylist(), strict=True)
    ]
    place = kept.schema.get_field_index("raw")
    return kept.set_column(place, kept.schema.field("raw"), pa.array(raws, pa.string()))


def screen_quarantine(folder: Path, listed: KeyedList) -> None:
    """Screen the quarantined rows in the Parquet files under a folder of an ingest that is under way."""
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("*/*.parquet")) if listed.digests else []:
        with pq.ParquetFile(path) as file:
            found = file.read()
        pq.write_table(screened(found, listed), path, compression="zstd")


def _names(raw: str, listed: KeyedList) -> bool:
    """Tell whether a row, as a JSON object of its columns, has a forgotten id in one of them."""
    try:
        row = json.loads(raw)
    except ValueError:
        return True
    values = row.values() if isinstance(row, dict) else [row]
    return any(listed.holds(value) for value in values if value is not None)
