"""Predicates from the configuration: parsed, checked against an allowlist, and rendered again.

Import it late: sqlglot takes a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlglot
from sqlglot import expressions as e
from sqlglot.errors import SqlglotError

from sql.errors import EngineError

ALLOWED: tuple[type[e.Expression], ...] = (
    e.And, e.Or, e.Not, e.Paren, e.EQ, e.NEQ, e.LT, e.LTE, e.GT, e.GTE, e.Between, e.In, e.Is, e.Like,
    e.ILike,
    e.Column, e.Identifier, e.Literal, e.Null, e.Boolean, e.Neg, e.Add, e.Sub, e.Mul, e.Div, e.Mod,
    e.Lower, e.Upper, e.Trim, e.Length, e.Abs, e.Coalesce, e.Substring, e.RegexpLike,
)  # fmt: skip


def portable(text: str, columns: Collection[str], engine: str, table: str | None = None) -> str:
    """Return the predicate `text` in the SQL of `engine` ("duckdb" or "spark").

    If `table` is given, the columns are qualified with it.

    Raises
    ------
    EngineError
        If it is not a single expression, names an unknown column, or uses anything but comparisons,
        AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL, arithmetic and a few text functions.
    """
    try:
        return _portable(text, columns, engine, table)
    except RecursionError:
        raise EngineError(f"expected a predicate with less nesting, got {text[:80]!r}...") from None


def _portable(text: str, columns: Collection[str], engine: str, table: str | None) -> str:
    try:
        tree = sqlglot.parse_one(text, read="duckdb")
    except SqlglotError as error:
        reason = str(error).splitlines()[0]
        raise EngineError(f'expected a predicate such as "quantity < 0", got {text!r}: {reason}') from None
    for node in list(tree.walk()):
        if isinstance(node, e.Column):
            _require_known(node, text, columns)
            if table is not None:
                node.set("table", e.to_identifier(table))
        elif isinstance(node, e.Literal):
            _require_plain(str(node.this), text)
        elif isinstance(node, e.Div | e.Mod):  # by zero: null in DuckDB, an error in Spark
            zero = e.Literal.number(0)
            node.set("expression", e.Nullif(this=node.expression, expression=zero))
        elif not isinstance(node, ALLOWED) or node.args.get("query"):
            raise EngineError(
                f"expected comparisons, AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL, arithmetic, lower, upper, "
                f"trim, length, abs, coalesce, substring or regexp_like, got {node.key} in {text!r}"
            )
    return tree.sql(dialect=engine, comments=False)


def _require_plain(value: str, text: str) -> None:
    """Refuse text that the engines read differently: only Spark has backslash escapes."""
    if "\\" in value or any(ord(character) < 32 for character in value):
        raise EngineError(
            f"expected text without backslashes or control characters, got {value!r} in {text!r}"
        )


def _require_known(column: e.Column, text: str, columns: Collection[str]) -> None:
    if column.table or column.name not in columns:
        raise EngineError(f"unknown column {column.sql()!r} in {text!r}; known: {', '.join(sorted(columns))}")
