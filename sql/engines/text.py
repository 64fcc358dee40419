"""The text of SQL: rendered templates, and literals and paths that both engines read alike."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2

ROOM = Path(__file__).parents[1]


def render(name: str, values: Mapping[str, object] | None = None) -> str:
    """Return the rendered template `sql/<name>.sql`; `name` includes the folder ("dataset/pairs").

    Pass only validated identifiers and expressions; bind values with `Engine.table`. An undefined
    name in the template is an error.
    """
    return _environment().get_template(f"{name}.sql").render(**(values or {}))


@cache
def _environment() -> jinja2.Environment:
    """Return the templates of this room, each compiled once in a process."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOM),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - the output is SQL, built from validated identifiers
        trim_blocks=True,
        lstrip_blocks=True,
    )


def escape_glob(path: Path) -> str:
    """Return a path as a DuckDB glob pattern that matches only this path."""
    return glob.escape(str(path))


def trimmed(text: str) -> str:
    """Return an expression for text without the spaces around it; DuckDB's trim() takes more."""
    return f"trim(BOTH ' ' FROM {text})"


def literal(text: str) -> str:
    """Return text as an SQL string expression that both engines read alike.

    Spark's literals have backslash escapes and DuckDB's do not, so backslashes and control
    characters become chr(...).
    """
    pieces = re.split(r"([\\\x00-\x1f])", text)
    spelled = [
        f"chr({ord(piece)})" if index % 2 else "'" + piece.replace("'", "''") + "'"
        for index, piece in enumerate(pieces)
    ]
    return spelled[0] if len(spelled) == 1 else f"concat({', '.join(spelled)})"
