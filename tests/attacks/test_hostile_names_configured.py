"""Two hundred hostile names in a configuration: each is rejected, plain or a predicate."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import duckdb
import pytest
from worlds.hostile_names import toml

from models import registry
from sql.errors import EngineError
from sql.source import NAME
from tasks.configuration.configuration import load
from tasks.runtime.errors import ConfigurationError

NAMING = {
    "attribute": 'source.attributes = {{{name} = "x"}}',
    "rule": 'source.quarantine = [{{name = {name}, where = "value < 0"}}]',
    "excluding rule": 'source.exclude = [{{name = {name}, where = "value < 0"}}]',
    "item attribute": 'source.attributes = {{x = "x"}}\nitems.attributes = {{{name} = "x"}}',
    "user attribute": 'source.attributes = {{x = "x"}}\nusers.attributes = {{{name} = "x"}}',
    "segment": "popular.segments = [{name}]",
    "fallback segment": "popular.fallback_segment = {name}",
    "judged segment": "quality.segments = [{name}]",
    "served segment": "train.serve_by_segment.by = {name}",
    "model": "train.models = [{name}]",
    "served model": "train.serve = {name}",
    "model of a segment": "train.serve_by_segment.models = {{new = {name}}}",
    "settings": "models = {{{name} = {{}}}}",
    "setting": "models.als = {{{name} = 1}}",
    "metric": "quality.metric = {name}",
    "engine": "engine.name = {name}",
    "section": "{name} = 1",
    "key": "engine = {{{name} = 1}}",
    "time zone": "source.time_zone = {name}",
    "predicate": 'source.exclude = [{{name = "x", where = {name}}}]',
    "positive": "dataset.positive = {name}",
}
"""Keys that name something in SQL, code or files, each with a placeholder for the name."""


@pytest.mark.parametrize("key", NAMING)
def test_a_name_in_the_configuration_is_plain_or_rejected(key: str, names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "nightshelf.toml"
    accepted = []
    for name in names:
        head = NAMING[key].format(name=toml(name))
        columns = '[source.columns]\nuser = "u"\nitem = "i"\ntimestamp = "t"\n'
        path.write_text(f'source.path = "logs"\n{head}\n{columns}', encoding="utf-8")
        with suppress(ConfigurationError):
            load(path)
            accepted.append(name)
    if key in {"predicate", "positive"}:
        return  # parsed when used: see tests/sql/interactions/test_predicate.py, and the next test
    known = {*registry.known(), "best", "GMT", "UTC"}
    assert all(NAME.fullmatch(name) or name in known for name in accepted), accepted
    assert len(accepted) < 20


def test_a_name_as_a_predicate_is_rejected_or_compares_columns(names: list[str]) -> None:
    """Accepted predicates run as a single statement on the columns and touch nothing else."""
    from sql.interactions.predicate import portable

    opened, accepted = duckdb.connect(config={"enable_external_access": "false"}), 0
    opened.execute("CREATE TABLE t AS SELECT 1.5 AS value, 'a' AS kind")
    for name in names:
        for text in (
            name,
            f"{name} = 1",
            f"value = {name}",
            f"'{name}' = kind",
            f'"{name}" = 1',
            f"({name})",
        ):
            with suppress(EngineError):
                query = f"SELECT count(*) FROM t WHERE {portable(text, {'value', 'kind'}, 'duckdb')}"
                # DuckDB rejects comparisons of text with numbers, or of two comparisons
                with suppress(duckdb.ConversionException, duckdb.BinderException, duckdb.ParserException):
                    assert [statement.type.name for statement in opened.extract_statements(query)] == [
                        "SELECT"
                    ]
                    assert opened.execute(query).fetchall() in ([(0,)], [(1,)])
                accepted += 1
    assert accepted > 100
    assert opened.execute("SELECT * FROM t").fetchall() == [(1.5, "a")]
