"""Numbers as texts: one grammar of what is a number, as each engine's casts accept other texts."""

from __future__ import annotations

from sql.engines.engine import Dialect
from sql.engines.text import literal, trimmed
from sql.source import Source

PLAIN = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
COMMA = "[+-]?[0-9]*,[0-9]+"
GROUPS_COMMA = "[+-]?[0-9]{1,3}(,[0-9]{3})+[.][0-9]+"
GROUPS_POINT = "[+-]?[0-9]{1,3}([.][0-9]{3})+,[0-9]+"
EITHER = "[+-]?[1-9][0-9]{0,2},[0-9]{3}"  # 1,234: thousands or decimals
NAN = "CAST('NaN' AS DOUBLE)"
NOT_FINITE = "[+-]?([Nn][Aa][Nn]|[Ii][Nn][Ff]([Ii][Nn][Ii][Tt][Yy])?)"


def real(text: str, source: Source, dialect: Dialect) -> str:
    """Return an expression for text as DOUBLE; NULL if it is no number, NaN if it is not finite.

    Spaces around it do not count. Marks of decimals and thousands are those of the source.
    """
    number = trimmed(text)
    if source.decimal == "auto" and not source.thousands:
        spelled = {
            PLAIN: number,
            GROUPS_COMMA: f"replace({number}, ',', '')",
            GROUPS_POINT: f"replace(replace({number}, '.', ''), ',', '.')",
            EITHER: None,
            COMMA: f"replace({number}, ',', '.')",
        }
    else:
        point = "," if source.decimal == "," else "."
        spelled = {_marked(point, source.thousands): _plain(number, point, source.thousands)}
    values = {regex: _cast(digits) if digits else "NULL" for regex, digits in spelled.items()}
    values[NOT_FINITE] = NAN
    whens = (f"WHEN {dialect.matches(number, regex)} THEN {value}" for regex, value in values.items())
    return f"CASE {' '.join(whens)} END"


def _cast(digits: str) -> str:
    return f"coalesce(TRY_CAST({digits} AS DOUBLE), {NAN})"


def whole(text: str, dialect: Dialect) -> str:
    """Return an expression for text as BIGINT; NULL if it is no whole number of 64 bits."""
    number = trimmed(text)
    digits = f"replace(split_part({number}, '.', 1), '+', '')"
    return f"CASE WHEN {dialect.matches(number, '[+-]?[0-9]+([.]0*)?')} THEN TRY_CAST({digits} AS BIGINT) END"


def _marked(point: str, thousands: str) -> str:
    """Return the grammar of numbers with these marks."""
    whole_part = "[0-9]+"
    if thousands:
        mark = "[ \u00a0\u202f]" if thousands == " " else f"[{thousands}]"
        whole_part = f"([0-9]+|[0-9]{{1,3}}({mark}[0-9]{{3}})+)"
    return f"[+-]?({whole_part}([{point}][0-9]*)?|[{point}][0-9]+)([eE][+-]?[0-9]+)?"


def _plain(text: str, point: str, thousands: str) -> str:
    for mark in "\u0020\u00a0\u202f" if thousands == " " else thousands:
        text = f"replace({text}, {literal(mark)}, '')"
    return f"replace({text}, ',', '.')" if point == "," else text
