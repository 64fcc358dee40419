"""The list of forgotten users: keyed hashes of their ids, which keep the users out of new logs.

`<store>/forgotten.json` holds a random key, all hashes, and the hashes whose removal is pending. It
holds no id, but anyone who can read it can test whether a known id is listed.
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
    """The content of forgotten.json: the key, all hashes, and those whose removal is pending."""

    key: bytes
    digests: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()

    def keyed(self, digests: Collection[str] | None = None) -> KeyedList:
        """Return the list, or the given hashes of it, in the form that engines compare with ids."""
        from sql.interactions.forgotten import KeyedList

        return KeyedList(self.key, self.digests if digests is None else frozenset(digests))


def read_forgotten(store: Store) -> Forgotten:
    """Return the list of a store; without one, an empty list with a new key.

    StoreError if the file is damaged: without it, forgotten users would come back.
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


def unfinished_removal(store: Store) -> str | None:
    """Return a warning if a removal was interrupted, else None."""
    try:
        pending = len(read_forgotten(store).pending)
    except StoreError as error:
        return str(error)
    if not pending:
        return None
    return f"`nightshelf forget` was interrupted for {pending} users: run the same command again to finish"


def record_pending(store: Store, user_ids: Iterable[object]) -> Forgotten:
    """Add users whose removal is pending; return the list. The caller holds the store's lock."""
    known = read_forgotten(store)
    new = {known.keyed().digest(user_id) for user_id in user_ids}
    return _write(store, Forgotten(known.key, known.digests | new, known.pending | new))


def record_removed(store: Store, user_ids: Iterable[object]) -> Forgotten:
    """Record that these users are removed; return the list. The caller holds the store's lock."""
    known = read_forgotten(store)
    removed = {known.keyed().digest(user_id) for user_id in user_ids}
    return _write(store, Forgotten(known.key, known.digests, known.pending - removed))


def _write(store: Store, listed: Forgotten) -> Forgotten:
    """Write the list and return it."""
    content = {
        "format": FORMAT,
        "key": listed.key.hex(),
        "digests": sorted(listed.digests),
        "pending": sorted(listed.pending),
    }
    path = store.root / NAME
    write_json_atomically(path, content)
    with writing(path):
        path.chmod(0o600)  # readers of the tables do not need it
    return listed


def register_forgotten_users(
    engine: Engine, store: Store, relation: str, *, all_listed: bool = False
) -> bool:
    """Make the relation `forgotten_users` if a removal is pending; return whether it exists.

    With `all_listed`, it is made of all forgotten users: the relation's ids are not spelled as those
    that were removed.
    """
    known = read_forgotten(store)
    digests = known.digests if all_listed else known.pending
    if digests:
        from sql.interactions.forgotten import make_forgotten_users

        make_forgotten_users(engine, relation, known.keyed(digests))
    return bool(digests)


def without_forgotten(table: Any, listed: KeyedList) -> Any:
    """Return quarantined rows without forgotten users, as a pyarrow Table.

    Rows of forgotten users are removed. The raw text is removed from rows that name a forgotten
    user in another column, and from rows whose user could not be read: they may be of a forgotten
    user.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    users = table["user_id"]
    distinct = pc.unique(users.combine_chunks()).drop_null()
    forgotten = [user_id for user_id in distinct.to_pylist() if listed.holds(user_id)]
    value_set = pa.array(forgotten, distinct.type)
    kept = table.filter(pc.invert(pc.is_in(users, value_set=value_set)))
    raws = [
        None if user is None or raw is None or _mentions_forgotten(raw, listed) else raw
        for user, raw in zip(kept["user_id"].to_pylist(), kept["raw"].to_pylist(), strict=True)
    ]
    index = kept.schema.get_field_index("raw")
    return kept.set_column(index, kept.schema.field("raw"), pa.array(raws, pa.string()))


def screen_quarantine(folder: Path, listed: KeyedList) -> None:
    """Remove forgotten users from the quarantined rows that an ingest is about to commit."""
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("*/*.parquet")) if listed.digests else []:
        with pq.ParquetFile(path) as file:
            table = file.read()
        pq.write_table(without_forgotten(table, listed), path, compression="zstd")


def _mentions_forgotten(raw: str, listed: KeyedList) -> bool:
    """Return whether a row, as JSON, holds a forgotten id; True if it is not JSON."""
    try:
        row = json.loads(raw)
    except ValueError:
        return True
    values = row.values() if isinstance(row, dict) else [row]
    return any(listed.holds(value) for value in values if value is not None)
