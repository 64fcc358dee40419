"""The configuration parser on random input: our own errors, with messages, in limited time.

`make torture` runs it for NIGHTSHELF_FUZZ_SECONDS (600 by default), `make test` for a few seconds.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from worlds.paths import ROOT

from models import registry
from sql.engines.spark_engine import java_pattern
from sql.errors import EngineError
from sql.interactions.classification import template_values
from sql.interactions.predicate import portable
from sql.source import EVENT_COLUMNS
from sql.timestamps import time_regex
from tasks.configuration.configuration import Configuration, fields_of, load
from tasks.configuration.file import store_path
from tasks.configuration.overrides import overrides_of
from tasks.runtime.errors import ConfigurationError, UserError

SECONDS = float(os.environ.get("NIGHTSHELF_FUZZ_SECONDS", "600"))
LONGEST = 10.0  # seconds for an input; the slowest so far took 0.1
DURATIONS = [4.0, pytest.param(SECONDS, marks=pytest.mark.torture)]
WRITTEN = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "deployments").glob("*.toml"))]
WRITTEN += re.findall(r"```toml\n(\[\[source.*?)```", (ROOT / "docs/input.md").read_text("utf-8"), re.DOTALL)
PREDICATES = (
    "value < 0", "value BETWEEN 1 AND 3 AND NOT kind = 'b'", "kind IN ('a', 'c') OR value IS NULL",
    "lower(trim(user_id)) = 'x'", "regexp_like(item_id, '^i[0-9]$')", "coalesce(value, 0) + 1 = 1",
    "value / 0 > 1 OR value % 0 = 0", "kind LIKE 'b%'", "timestamp >= '2026-01-02'",
    "substring(kind, 1, 2) = 'x'",
)  # fmt: skip
HARD = (
    '"~nobody-there/x"', '"\\u0000"', '"%"', '"%Y%Y"', '"%Q"', '"${HOME}"', '"${NOT_SET}"',
    '"${A:-${B:-"', '"${"', "inf", "-inf", "nan", "1e400", "-0.0", "0x" + "f" * 400, "1" * 300,
    "1" * 5000, "2026-13-01", "{}", "2026-01-01T00:00:00Z", "00:00:00", "[]", "[[]]",
    "[" * 100 + "]" * 100, "{a = {b = {c = 1}}}", '""', "'''", '"""', '"9999999999GiB"',
    '"' + "9" * 400 + 'GiB"', '"1e9GiB"', '"٣GiB"', '"undefined"', '"idna"', '"rot13"', '"utf-16"',
    '"\\n"', '"\\r"', '"\\ud800"', '"x"' * 3, "true", "-1", "0", "[1, 'a', 2.0]", '"../../x"',
    '"/dev/zero"', '"Etc/GMT+25"', '"a' + "(" * 500 + '"', '"' + "NOT " * 3000 + 'TRUE"',
    '"' + "(" * 3000 + '"', '"x = ' + "1+" * 3000 + '1"', '["als", "als"]', '"best"',
    '"value < 0; DROP TABLE x"', '"' + "a" * 70_000 + '"', "[" * 400 + "]" * 400,
)  # fmt: skip


def keys_of(kind: type[BaseModel], location: str = "") -> Iterator[str]:
    """Yield every key of the configuration, as the section and the key with a dot between."""
    for name, field in fields_of(kind).items():
        inner = [model for model in models_in(field.annotation) if model is not None]
        yield f"{location}.{name}" if location else name
        for model in inner:
            yield from keys_of(model, f"{location}.{name}" if location else name)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, UnionType, tuple, dict):
        for part in get_args(annotation):
            yield from models_in(part)


KEYS = sorted(
    {*keys_of(Configuration)}
    | {
        f"models.{name}.{key}"
        for name in registry.known()
        for key in registry.model_class(name).Config.model_fields
    }
)
SCALARS = (
    st.sampled_from(HARD)
    | st.integers().map(str)
    | st.floats().map(str)
    | st.booleans().map(lambda flag: str(flag).lower())
    | st.dates().map(str)
    | st.text(max_size=20).map(lambda text: "'" + text.replace("'", "") + "'")
    | st.sampled_from(PREDICATES).map(lambda text: f'"{text}"')
)
VALUES = st.recursive(
    SCALARS,
    lambda values: (
        st.lists(values, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")
        | st.lists(st.tuples(st.sampled_from(["a", "name", "where", "x y"]), values), max_size=2).map(
            lambda pairs: "{" + ", ".join(f'"{key}" = {value}' for key, value in pairs) + "}"
        )
    ),
    max_leaves=5,
)
ASSIGNED = st.tuples(st.sampled_from(KEYS), VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}")
STRUCTURED = st.lists(ASSIGNED, min_size=1, max_size=4).map("\n".join)
LINES = sorted({line for text in WRITTEN for line in text.splitlines() if line.strip()})


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw a real configuration with parts cut, moved, changed or inserted."""
    text = draw(st.sampled_from(WRITTEN))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        stop = draw(st.integers(start, min(len(text), start + 40)))
        new = draw(
            st.sampled_from(LINES).map(lambda line: f"\n{line}\n")
            | ASSIGNED.map(lambda line: f"\n{line}\n")
            | st.sampled_from(HARD)
            | st.text(max_size=10)
            | st.just("")
        )
        text = text[:start] + new + text[stop:]
    return text


@st.composite
def with_a_value_changed(draw: st.DrawFn) -> str:
    """Draw a real configuration with the values of some lines replaced."""
    lines = draw(st.sampled_from(WRITTEN)).splitlines()
    places = [number for number, line in enumerate(lines) if " = " in line]
    for location in draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
        lines[location] = f"{lines[location].partition(' = ')[0]} = {draw(VALUES)}"
    return "\n".join(lines)


@contextmanager
def time_limit() -> Iterator[None]:
    """Fail a block that takes longer than LONGEST."""

    def late(*_: object) -> None:
        raise AssertionError(f"still not done after {LONGEST} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fuzz(strategy: st.SearchStrategy[Any], seconds: float, check: Callable[[Any], object]) -> int:
    """Check examples until the time is up; return their number. Failures are shrunk."""
    tried, number, until = 0, 0, time.monotonic() + seconds

    def checked(example: Any) -> None:
        nonlocal tried
        tried += 1
        with time_limit():
            check(example)

    while time.monotonic() < until:
        number += 1
        tuned = settings(
            max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        seed(number)(tuned(given(strategy)(checked)))()
    return tried


def use(configuration: Configuration) -> None:
    """Use a configuration for everything that needs no data."""
    configuration.fingerprint()
    configuration.source_fingerprint()
    for engine in ("duckdb", "spark"):
        for source in configuration.sources:
            template_values(source, engine)
        if configuration.dataset.positive is not None:
            known = {*EVENT_COLUMNS, *configuration.attributes}
            portable(configuration.dataset.positive, known, engine, table="i")
    for source in configuration.sources:
        for pattern in source.time_formats:
            if "%Y" in pattern:
                time_regex(pattern)
                java_pattern(pattern)


def read(path: Path, overrides: dict[str, Any] | None = None) -> str:
    """Read and use a configuration; return its error message, empty if it is valid."""
    message = ""
    try:
        use(configuration := load(path, overrides))
    except (ConfigurationError, EngineError) as error:
        message = str(error)
        assert message.strip()
        assert "Traceback" not in message
        assert len(message) < 200_000
    try:
        location = store_path(path)
    except ConfigurationError:
        return message
    if not message and not overrides:
        assert location == configuration.store.path
    return message


@pytest.mark.parametrize("seconds", DURATIONS)
def test_any_text_is_valid_or_our_own_error(seconds: float, tmp_path: Path) -> None:
    path = tmp_path / "nightshelf.toml"
    right = 0

    def check(text: str | bytes) -> None:
        nonlocal right
        path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
        right += not read(path)

    texts = STRUCTURED | mutated() | with_a_value_changed() | st.text() | st.binary(max_size=200)
    tried = fuzz(texts, seconds, check)
    print(f"{tried} texts in {seconds:.0f} s, {right} of them right")
    assert tried >= 100
    assert right > tried / 100  # some are valid, so code after the parser is tested too


@pytest.mark.parametrize("seconds", [1.0, pytest.param(SECONDS / 10, marks=pytest.mark.torture)])
def test_any_override_is_valid_or_our_own_error(seconds: float, tmp_path: Path) -> None:
    path = tmp_path / "nightshelf.toml"
    path.write_text(WRITTEN[0], encoding="utf-8")

    def check(lines: list[str]) -> None:
        try:
            overrides = overrides_of(tuple(lines))
        except UserError:
            return
        read(path, overrides)

    assigned = st.tuples(st.sampled_from(KEYS) | st.text(max_size=5), VALUES | st.text(max_size=10))
    lines = st.lists(assigned.map("=".join) | st.text(), max_size=3)
    assert fuzz(lines, seconds, check) >= 100


@pytest.mark.parametrize("seconds", [1.0, pytest.param(SECONDS / 10, marks=pytest.mark.torture)])
def test_any_predicate_is_valid_or_our_own_error(seconds: float) -> None:
    known = {"user_id", "item_id", "value", "kind", "timestamp"}
    tokens = sorted({word for text in PREDICATES for word in text.replace("(", " ( ").split()})
    more = ["(", ")", ";", "--", "/*", "SELECT", "CASE", "'", '"', "\\", "::", "[", "{", "$1", "NOT", "\0"]

    def check(text: str) -> None:
        for engine in ("duckdb", "spark"):
            with suppress(EngineError):
                assert ";" not in portable(text, known, engine) or ";" in text

    texts = (
        st.lists(st.sampled_from([*tokens, *more]), max_size=12).map(" ".join)
        | st.text(max_size=30)
        | st.tuples(st.sampled_from(["(", "NOT ", "-", "lower(", "1+"]), st.integers(1, 5000)).map(
            lambda pair: pair[0] * pair[1] + "value"
        )
    )
    assert fuzz(texts, seconds, check) >= 100


@pytest.mark.parametrize("value", HARD)
def test_each_hard_value_at_each_key_is_accepted_or_rejected_with_a_message(
    value: str, tmp_path: Path
) -> None:
    path = tmp_path / "nightshelf.toml"
    for key in KEYS[:: max(1, len(KEYS) // 12)]:
        path.write_text(f"{key} = {value}\n", encoding="utf-8", errors="surrogatepass")
        with time_limit():
            read(path)


@pytest.mark.parametrize(
    "path", ["/dev/zero", "/dev/null", "/dev/full", "/proc/self/mem", "/", "\0", "x" * 5000]
)
def test_a_configuration_that_is_not_a_text_file_is_rejected(path: str) -> None:
    for reader in (load, store_path):
        if (reader, path) == (store_path, "/dev/null"):
            continue  # it is empty, so it has the default store
        message = "expected a configuration of at most|cannot read the configuration|source is missing"
        with time_limit(), pytest.raises(ConfigurationError, match=message):
            reader(Path(path))
