"""Predicates from the configuration: parsed, checked against a list of what is allowed, and written anew."""

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
    """Return the predicate `text` as SQL of `engine` ("duckdb" or "spark"), its columns those of `table`.

    Raises
    ------
    EngineError
        If it is not one expression, names an unknown column, or uses anything outside comparisons,
        AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL, arithmetic and a few text functions.
    """
    try:
        return _portable(text, columns, engine, table)
    except RecursionError:
        raise EngineError(f"expected a predicate that is nested less deeply, got {text[:80]!r}...") from None


def _portable(text: str, columns: Collection[str], engine: str, table: str | None) -> str:
    try:
        tree = sqlglot.parse_one(text, read="duckdb")
    except SqlglotError as error:
        reason = str(error).splitlines()[0]
        raise EngineError(f'expected a predicate such as "quantity < 0", got {text!r}: {reason}') from None
    for node in list(tree.walk()):
        if isinstance(node, e.Column):
            _known_column(node, text, columns)
            if table is not None:
                node.set("table", e.to_identifier(table))
        elif isinstance(node, e.Literal):
            _plain(str(node.this), text)
        elif isinstance(node, e.Div | e.Mod):  # by zero is null in DuckDB and an error in Spark
            zero = e.Literal.number(0)
            node.set("expression", e.Nullif(this=node.expression, expression=zero))
        elif not isinstance(node, ALLOWED) or node.args.get("query"):
            raise EngineError(
                f"expected comparisons, AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL, arithmetic, lower, upper, "
                f"trim, length, abs, coalesce, substring or regexp_like, got {node.key} in {text!r}"
            )
    return tree.sql(dialect=engine, comments=False)


def _plain(value: str, text: str) -> None:
    """Refuse what the engines read differently: backslashes are escapes in Spark's literals only."""
    if "\\" in value or any(ord(character) < 32 for character in value):
        raise EngineError(
            f"expected text without backslashes and control characters, got {value!r} in {text!r}"
        )


def _known_column(column: e.Column, text: str, columns: Collection[str]) -> None:
    if column.table or column.name not in columns:
        raise EngineError(f"unknown column {column.sql()!r} in {text!r}; known: {', '.join(sorted(columns))}")
