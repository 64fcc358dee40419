"""Overrides of the configuration: parsing of lines, nested tables and errors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from tasks.configuration.configuration import Configuration, load
from tasks.configuration.overrides import line_of, overridden, overrides_of, parts_of
from tasks.runtime.errors import ConfigurationError, UserError

TEXT = """
[source]
path = "logs"
event_weights = { view = 1.0, "page.view" = 2.0 }
columns = { user = "u", item = "i", timestamp = "t", event_type = "e" }
[engine]
name = "duckdb"
[models.als]
factors = 8
iterations = 3
[models.blend]
weights = { als = 0.5, item_knn = 0.5 }
"""
Overriding = Callable[..., Configuration]


@pytest.fixture
def overriding(tmp_path: Path) -> Overriding:
    """Return a function that loads the configuration with lines of overrides."""
    path = tmp_path / "nightshelf.toml"
    path.write_text(TEXT, encoding="utf-8")
    return lambda *lines: load(path, overrides_of(lines))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("engine.name=spark", {"engine.name": "spark"}),
        (" engine.name = spark ", {"engine.name": "spark"}),
        ("top_n.n=5", {"top_n.n": 5}),
        ("train.models=['als', 'random']", {"train.models": ["als", "random"]}),
        ("source.columns={user='z'}", {"source.columns": {"user": "z"}}),
        ("source.min_date=2026-01-02", {"source.min_date": date(2026, 1, 2)}),
        ("dataset.positive=value >= 4 AND value <= 5", {"dataset.positive": "value >= 4 AND value <= 5"}),
        ("a=", {"a": ""}),
        ("a=1\nb = 2", {"a": "1\nb = 2"}),
        ("""event_weights."a=b.c"=2""", {"""event_weights."a=b.c\"""": 2}),
    ],
)
def test_a_line_is_a_key_and_a_toml_value_or_a_text(line: str, expected: dict[str, object]) -> None:
    assert overrides_of([line]) == expected


@pytest.mark.parametrize(
    "line", ["engine.name", "= 5", "", ".a=1", "a.=1", "a..b=1", 'a."b=1', "a b=1", "engine name=1"]
)
def test_a_line_without_a_key_or_a_value_is_rejected(line: str) -> None:
    with pytest.raises(UserError, match=r"overrides: expected key=value, such as engine\.name=spark, got "):
        overrides_of([line])


@pytest.mark.parametrize("text", ["/a b/ü=1", "5", "true", 'say "no"', "[1]", "a\\b\n"])
def test_a_written_text_is_read_back_as_the_same_text(text: str) -> None:
    assert overrides_of([line_of("store.path", text)]) == {"store.path": text}


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("n", ("n",)),
        ("models.als.factors", ("models", "als", "factors")),
        ('engine.spark_settings."spark.ui.port"', ("engine", "spark_settings", "spark.ui.port")),
        ("source.event_weights.'page.view'", ("source", "event_weights", "page.view")),
    ],
)
def test_a_key_has_parts_and_a_part_with_a_dot_is_quoted(key: str, parts: tuple[str, ...]) -> None:
    assert parts_of(key) == parts


def test_an_override_reaches_nested_tables_at_any_depth(overriding: Overriding) -> None:
    configuration = overriding(
        "models.als.factors=64",
        "source.columns.user=z",
        "source.event_weights.'page.view'=7",
        "models.blend.weights.als=0.25",
        "train.serve_by_segment.models.new=popularity",
        'engine.spark_settings."spark.ui.port"="4050"',
    )
    assert configuration.models["als"] == {"factors": 64, "iterations": 3}
    assert configuration.sources[0].columns.user == "z"
    assert configuration.sources[0].columns.item == "i"
    assert configuration.sources[0].event_weights == {"view": 1.0, "page.view": 7.0}
    assert configuration.models["blend"] == {"weights": {"als": 0.25, "item_knn": 0.5}}
    assert configuration.train.serve_by_segment.models == {"new": "popularity"}
    assert configuration.engine.spark_settings == {"spark.ui.port": "4050"}


def test_overrides_apply_in_order_and_the_last_wins(overriding: Overriding) -> None:
    assert overriding("models.als.factors=64", "models.als.factors=32").models["als"]["factors"] == 32
    assert overriding("models.als.factors=64", "models.als={}").models["als"] == {}
    assert overriding("models.als={}", "models.als.factors=64").models["als"] == {"factors": 64}


def test_a_part_of_a_key_is_the_name_of_a_table_in_an_array() -> None:
    content = {"source": [{"name": "a", "path": "x"}, {"name": "b", "columns": {"user": "u"}}]}
    changed = overridden(content, {"source.b.columns.item": "i", "source.a.path": "y", "source.b.name": "c"})
    assert changed["source"] == [
        {"name": "a", "path": "y"},
        {"name": "c", "columns": {"user": "u", "item": "i"}},
    ]
    assert content["source"] == [{"name": "a", "path": "x"}, {"name": "b", "columns": {"user": "u"}}]
    for key, got in (("source.path", ""), ("source.orders.path", "got 'orders'; ")):
        with pytest.raises(ConfigurationError, match=rf"expected the name of a table .*{got}known: a, b$"):
            overridden(content, {key: "z"})


def test_overriding_does_not_change_the_original_content() -> None:
    content = {"models": {"als": {"factors": 8}}}
    assert overridden(content, {"models.als.factors": 9}) == {"models": {"als": {"factors": 9}}}
    assert content == {"models": {"als": {"factors": 8}}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("engine.name.x=1", r"override 'engine\.name\.x': expected a table at engine\.name, got 'duckdb'"),
        ("models.als.factors.a.b=1", r"override .*: expected a table at models\.als\.factors, got 8"),
        ("sauce.path=1", r"unknown key 'sauce' \(did you mean 'source'\?\); known: dataset, engine, "),
        ("engine.thread=1", r"unknown key 'thread' in \[engine\] \(did you mean 'threads'\?\); known: "),
        ("source.columns.usr=z", r"unknown key 'usr' in \[source\.columns\] .*; known: event_type, item, "),
        ("models.als.factor=9", r"unknown key 'factor' in models\.als; known: .*factors"),
        ("models.asl.factors=9", r"unknown model 'asl' in \[models\]; known: als, blend"),
        ("models.als.factors=many", r"bad value of models\.als\.factors: .*got 'many'"),
        ("engine.threads.x=1", r"engine\.threads: .* valid integer, got \{'x': 1\}"),
    ],
)
def test_a_wrong_override_is_named_with_the_expectation(
    overriding: Overriding, line: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        overriding(line)


def test_a_secret_on_the_path_of_a_key_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"expected a table at a\.password, got \*\*\*$"):
        overridden({"a": {"password": "swordfish"}}, {"a.password.x": 1})


@pytest.mark.parametrize("key", ["", "a..b", 'a."b', "a b", "a=1"])
def test_an_invalid_key_is_rejected(key: str) -> None:
    with pytest.raises(ConfigurationError, match=r"expected a key such as models\.als\.factors, a part with"):
        overridden({}, {key: 1})


def test_deep_nesting_is_an_ordinary_error(overriding: Overriding) -> None:
    with pytest.raises(ConfigurationError, match="expected less deeply nested lists"):
        overriding(".".join(["engine", *"a" * 20_000]) + "=1")
