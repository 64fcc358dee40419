"""Users who are to be kept out, known by keyed hashes of their ids alone."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa

from sql.engines.engine import Engine
from sql.engines.text import render

_BLOCK = 64  # bytes of a block of SHA-256


@dataclass(frozen=True)
class KeyedList:
    """HMAC-SHA256 digests (hexadecimal) of ids as UTF-8 text, and their key (at most 64 bytes)."""

    key: bytes
    digests: frozenset[str]

    def digest(self, user_id: object) -> str:
        """Return the keyed hash of an id; a whole number counts as its decimal text."""
        return hmac.digest(self.key, str(user_id).encode(), "sha256").hex()

    def holds(self, user_id: object) -> bool:
        """Tell whether an id is in the list."""
        return self.digest(user_id) in self.digests


def make_forgotten_users(engine: Engine, relation: str, listed: KeyedList) -> None:
    """Make the relation `forgotten_users` (user_id): the users of a relation who are in the list."""
    padded = listed.key.ljust(_BLOCK, b"\0")
    pads = {
        name: [bytes(byte ^ mask for byte in padded)] for name, mask in (("inner", 0x36), ("outer", 0x5C))
    }
    engine.table("forgotten_key", pa.table({f"{name}_pad": pad for name, pad in pads.items()}))
    engine.table("forgotten_digests", _texts("digest", listed.digests))
    digest = engine.dialect.keyed_hash("CAST(u.user_id AS STRING)", "k.inner_pad", "k.outer_pad")
    engine.materialise(
        "forgotten_users", render("interactions/forgotten_users", {"relation": relation, "digest": digest})
    )


def _texts(name: str, values: Collection[str]) -> pa.Table:
    return pa.table({name: pa.array(sorted(values), pa.string())})
