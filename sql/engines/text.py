"""The text of SQL: templates filled, literals and paths spelled so that both engines read them alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

ROOM = Path(__file__).parents[1]


def render(name: str, values: Mapping[str, object] | None = None) -> str:
    """Return the text of `sql/<name>.sql` with its template filled; `name` holds the folder: "dataset/pairs".

    Only identifiers and expressions that were validated may be given; values are bound through
    `Engine.table`. An undefined name in the template is an error.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOM),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - the output is SQL, made of validated identifiers
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{name}.sql").render(**(values or {}))


def itself(path: Path) -> str:
    """Return a path as a pattern of DuckDB that matches this path alone, whatever its name holds."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))


def literal(text: str) -> str:
    """Return text as an SQL string expression that both engines read alike.

    Backslashes are escapes in Spark's literals and not in DuckDB's: they and control characters are
    spelled chr(92).
    """
    pieces = re.split(r"([\\\x00-\x1f])", text)
    spelled = [
        f"chr({ord(piece)})" if place % 2 else "'" + piece.replace("'", "''") + "'"
        for place, piece in enumerate(pieces)
    ]
    return spelled[0] if len(spelled) == 1 else f"concat({', '.join(spelled)})"
