"""Numbers as texts: one grammar on both engines, checked by hand and on generated texts."""

from __future__ import annotations

import math
import random
from typing import Any

import pyarrow as pa
import pytest

from sql.interactions.numbers import real, whole
from sql.interactions.times import parsed_time
from sql.source import Source

NAN = math.nan
REALS: dict[str, float | None] = {
    "5": 5.0, "+5": 5.0, "-.5e3": -500.0, "5.": 5.0, " 5 ": 5.0, "1E5": 1e5, "1e-3": 1e-3,
    "4,5": 4.5, "0,125": 0.125, "1234,5": 1234.5, "1,234.5": 1234.5, "1.234,5": 1234.5,
    "1.234.567,89": 1234567.89, "1,234": None, "12,34,5": None, "1_000": None, "5d": None, "5f": None,
    "0x10": None, "١": None, "1 000": None, "": None, "-": None, ".": None, "e5": None, "5\n": None,
    "1e400": NAN, "nan": NAN, "-Infinity": NAN, "inf": NAN, "infinite": None, "true": None,
}  # fmt: skip
WHOLES: dict[str, int | None] = {
    "7": 7, "+7": 7, "-7": -7, "007": 7, "7.0": 7, "7.": 7, " 7": 7, "3.7": None, "1_000": None, "5d": None,
    "9223372036854775807": 2**63 - 1, "9223372036854775808": None, "1e3": None, "": None, "0x7": None,
}  # fmt: skip
MARKED = {
    (",", "."): {"1.234,5": 1234.5, "1234,5": 1234.5, "1.234": 1234.0, "12.34": None, "4.5": None},
    (".", ","): {"1,234": 1234.0, "1,234,567.8": 1234567.8, "4,5": None, "4.5": 4.5},
    (",", " "): {"1 234,5": 1234.5, "1\u00a0234": 1234.0, "1\u202f234,5": 1234.5, "4.5": None},
    (",", ""): {"1,234": 1.234, "1.234": None},
    (".", ""): {"1.234": 1.234, "1,234": None},
}
LETTERS = "0123456789" * 3 + "..,,+-eE_ dfxnNaTZ:/\t\n\u00a0٣"


def source(**settings: Any) -> Source:
    """Return a source with these settings."""
    return Source(path="x", columns={"user": "u", "item": "i", "timestamp": "t"}, **settings)


def values(engine: Any, texts: list[str], expression: str) -> list[Any]:
    """Return the value of an expression over `t` for each text; "nan" for one that is not finite."""
    engine.table("texts", pa.table({"n": range(len(texts)), "t": pa.array(texts, pa.string())}))
    column = engine.fetch(f"SELECT {expression} AS v FROM texts ORDER BY n")["v"].to_pylist()
    return ["nan" if isinstance(value, float) and not math.isfinite(value) else value for value in column]


@pytest.mark.parametrize("text", [pytest.param(text, id=repr(text)) for text in REALS])
def test_a_text_is_this_real_number_or_none(duckdb_engine: Any, text: str) -> None:
    [value] = values(duckdb_engine, [text], real("t", source(), duckdb_engine.dialect))
    expected = REALS[text]
    assert value == ("nan" if expected is NAN else expected)


def test_a_text_is_this_whole_number_or_none(engine: Any) -> None:
    assert values(engine, list(WHOLES), whole("t", engine.dialect)) == list(WHOLES.values())


@pytest.mark.parametrize("marks", MARKED)
def test_configured_marks_of_decimals_and_thousands_are_read(engine: Any, marks: tuple[str, str]) -> None:
    decimal, thousands = marks
    configured = source(decimal=decimal, thousands=thousands)
    expected = MARKED[marks]
    assert values(engine, list(expected), real("t", configured, engine.dialect)) == list(expected.values())


def generated(kind: str, count: int) -> list[str]:
    """Return texts near those that a type accepts: random edits of valid ones, and random letters."""
    rng = random.Random(kind)  # noqa: S311
    valid = {
        "real": [*REALS, *(repr(rng.uniform(-1e6, 1e6)) for _ in range(50))],
        "whole": [*WHOLES, *(str(rng.randint(-(2**64), 2**64)) for _ in range(50))],
        "iso": [
            f"{rng.randint(1, 9999):04d}-{rng.randint(0, 13):02d}-{rng.randint(0, 32):02d}{rest}"
            for rest in ("", "T10:00:00Z", " 10:00:00.123 UTC", "T1000+0130", " 7", "t09:59,5", "T24:00:00")
            for _ in range(10)
        ],
        "epoch_s": [str(rng.randint(0, 2**40)) for _ in range(50)] + ["1.79353E+12", "1.7935272E9", "1e400"],
        "epoch_ns": [str(rng.randint(0, 2**63)) for _ in range(50)],
        "%d/%m/%y %H:%M": [f"{rng.randint(0, 32)}/{rng.randint(0, 13)}/{y:02d} 7:30" for y in range(50)],
        "%Y-%m-%d %H:%M:%S%z": [f"2026-0{m % 10}-1{m % 10} 10:00:0{m % 10}+0{m % 10}00" for m in range(50)],
    }[kind]
    texts = []
    for _ in range(count):
        text = list(rng.choice(valid))
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            place = rng.randint(0, len(text))
            text[place : place + rng.randint(0, 1)] = [rng.choice(LETTERS)] * rng.randint(0, 1)
        texts.append("".join(text))
    return texts


@pytest.mark.spark
@pytest.mark.parametrize(
    "kind", ["real", "whole", "iso", "epoch_s", "epoch_ns", "%d/%m/%y %H:%M", "%Y-%m-%d %H:%M:%S%z"]
)
def test_both_engines_read_2000_generated_texts_alike(
    duckdb_engine: Any, spark_engine: Any, kind: str
) -> None:
    texts = generated(kind, 2000)
    outcomes = []
    for engine in (duckdb_engine, spark_engine):
        if kind in {"real", "whole"}:
            expression = real("t", source(), engine.dialect) if kind == "real" else whole("t", engine.dialect)
        else:
            expression = f"unix_micros({parsed_time('t', source(timestamp_format=kind), engine.dialect)})"
        outcomes.append(values(engine, texts, expression))
    different = [row for row in zip(texts, *outcomes, strict=True) if row[1] != row[2]]
    assert different == []
    assert 200 < sum(value is not None for value in outcomes[0]) < 1990
