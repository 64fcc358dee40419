"""One source or several: what they share, what each needs, and how mistakes are reported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from worlds.paths import ROOT

from tasks.configuration.configuration import Configuration, load
from tasks.runtime.errors import ConfigurationError

COLUMNS = 'columns = { user = "u", item = "i", timestamp = "t" }\n'
TYPED = 'columns = { user = "u", item = "i", timestamp = "t", event_type = "e" }\n'


def several(*sources: str, columns: str = COLUMNS) -> str:
    """Return [[source]] tables named a, b...; a text that has columns gets no others."""
    return "".join(
        f'[[source]]\nname = "{name}"\npath = "{name}"\n{text}\n{"" if "columns" in text else columns}'
        for name, text in zip("abc", sources, strict=False)
    )


@pytest.fixture
def loaded(tmp_path: Path) -> Any:
    def read(text: str, **overrides: Any) -> Configuration:
        path = tmp_path / "nightshelf.toml"
        path.write_text(text, encoding="utf-8")
        return load(path, overrides)

    return read


def test_what_holds_for_all_is_the_same_in_all_or_joined(loaded: Any, tmp_path: Path) -> None:
    both = loaded(
        several(
            'time_zone = "Europe/London"\nattributes = { colour = "c" }\nevent_type = "view"\n'
            'event_weights = { view = 1, order = 5 }\nexclude = [{ name = "bots", where = "value = 9" }]',
            'attributes = { size = "s", colour = "x" }\nevent_type = "order"\nexclude = ['
            '{ name = "bots", where = "user_id = \'c\'" }, { name = "old", where = "value = 1" }]',
        )
        + '[items]\ntitle = "size"\n'
    )
    assert [source.path for source in both.sources] == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert (both.time_zone, both.user_id_type, both.item_id_type) == ("Europe/London", "string", "string")
    assert both.attributes == ("colour", "size")
    assert both.event_weights == {"view": 1, "order": 5}
    assert both.exclusion_rules() == ["bots", "forgotten", "old"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (several("", "pth = 1"), r"unknown key 'pth' in \[source\.b\] \(did you mean 'path'\?\)"),
        (several("", "columns = { item = 'i', timestamp = 't' }"), r"source\.b\.columns\.user is missing"),
        (several("", "time_zone = 'Mars'"), r"source\.b\.time_zone: expected an IANA time zone"),
        (several("", "header = false"), r"source\.b: header = false needs column_names"),
        (
            several("", "time_zone = 'Mars'").replace('name = "b"\n', ""),
            r"source 2\.time_zone: expected an IANA time zone",
        ),
        (several("", "time_zone = 'Mars'").replace('"b"', '"a"'), r"source 2\.time_zone: expected an IANA"),
        (
            several("", "").replace('name = "b"\n', ""),
            r"source: expected a name for each of several sources, got none in source 2",
        ),
        (
            several("", "").replace('name = "b"', 'name = "a"'),
            r"source: expected distinct names .*, got a, a",
        ),
        (several("", "").replace('name = "b"', 'name = "B!"'), r"source 2\.name: .*pattern.*, got 'B!'"),
        (
            several("", "item_id_type = 'int64'"),
            r"source: expected the same item_id_type in all sources, got string \(a\), int64 \(b\)",
        ),
        (
            several("event_weights = {x = 1}", "event_weights = {x = 2}", columns=TYPED),
            r"source: expected one weight of event type 'x', got 1 in a and 2 in b",
        ),
        (
            several("event_type = 'y'", "event_weights = {x = 1}\n" + TYPED),
            r"source: a: expected event_type to be one of event_weights \(x\), got 'y'",
        ),
        (
            several("event_weights = {x = 1}", "", columns=TYPED),
            r"source: b: expected event_weights, since a has them; a source whose events are all of one kind",
        ),
        (
            several(
                *(f"{kind} = [{{name = 'x', where = 'value > 1'}}]" for kind in ("exclude", "quarantine"))
            ),
            r"source: expected rule 'x' to quarantine rows or to exclude .* in b and an exclude rule in a",
        ),
        ("source = []\n", "source: expected at least one source, got none"),
        ("source = 3\n", "source: .*, got 3"),
        ("source = [3]\n", r"source 1: .*, got 3"),
    ],
)
def test_a_mistake_names_the_source(loaded: Any, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=r"nightshelf\.toml: " + message):
        loaded(text)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("event_type = 'x'\n" + TYPED, r"source: expected event_type .* or columns\.event_type, got both"),
        ("event_type = 'x'\nevent_weights = {y = 1}\n" + COLUMNS, r"event_weights \(y\), got 'x'"),
        ("event_weights = {y = 1}\n" + COLUMNS, r"event_weights needs columns\.event_type or event_type"),
        (
            'event_type = "a\\u0000"\n' + COLUMNS,
            r"event_type: expected a text that can be printed, got 'a.x00'",
        ),
        ("event_type = ''\n" + COLUMNS, r"source\.event_type: .*at least 1 character"),
    ],
)
def test_a_type_of_all_events_is_the_only_one(loaded: Any, keys: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        loaded("[source]\npath = 'x'\n" + keys)


def test_a_name_changes_no_fingerprint_and_a_second_source_does(loaded: Any) -> None:
    single, named = loaded("[source]\npath = 'a'\n" + COLUMNS), loaded(several(""))
    two, swapped = loaded(several("", "trim_ids = true")), loaded(several("trim_ids = true", ""))
    assert single.source_fingerprint() == named.source_fingerprint() != two.source_fingerprint()
    assert two.source_fingerprint() == swapped.source_fingerprint()
    assert single.fingerprint() == named.fingerprint() != two.fingerprint()


@pytest.mark.parametrize("text", ["[source]\npath = 'a'\n" + COLUMNS, several(""), several("", "")])
def test_a_written_configuration_is_read_back_and_a_single_source_is_a_table(loaded: Any, text: str) -> None:
    configuration = loaded(text)
    content = configuration.model_dump(mode="json")
    assert isinstance(content["source"], list) == text.startswith("[[")
    assert Configuration.model_validate(content) == configuration


def test_the_example_of_several_sources_is_valid(loaded: Any) -> None:
    page = (ROOT / "docs" / "input.md").read_text(encoding="utf-8").partition("## Several sources")[2]
    example = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert example is not None
    configuration = loaded(example.group(1))
    assert configuration.event_weights == {"view": 1, "cart": 2, "order": 5, "rating": 3}
    assert loaded(example.group(1), **{"source.orders.path": "/z"}).sources[1].path == "/z"
