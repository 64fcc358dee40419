"""${NAME} in the configuration: in paths and other texts, and when it is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.configuration.configuration import load
from tasks.configuration.file import from_environment, store_path
from tasks.runtime.errors import ConfigurationError


def test_a_relative_path_is_relative_to_where_it_was_set_and_other_texts_are_unchanged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLACE", "data")
    assert from_environment({"path": "${PLACE}/x", "title": "${PLACE}/x"}) == {
        "path": f"{tmp_path}/data/x",
        "title": "data/x",
    }
    assert from_environment({"path": ["${PLACE}", "b-${PLACE}"]}) == {"path": [f"{tmp_path}/data", "b-data"]}
    monkeypatch.setenv("PLACE", "s3://bucket")
    assert from_environment({"path": "${PLACE}/x"}) == {"path": "s3://bucket/x"}


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "")
    assert from_environment(["${PLACE:-here}", "${PLACE}", 1]) == ["here", "", 1]
    monkeypatch.delenv("PLACE")
    assert from_environment("${PLACE:-}") == ""
    with pytest.raises(ConfigurationError, match=r"\$\{PLACE\} is not set"):
        from_environment({"a": [{"b": "${PLACE}"}]})


def test_a_spark_master_without_an_address_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "night.toml"
    config.write_text(
        '[store]\npath = "${STORE:-kept}"\n[engine]\nspark_master = "${MASTER:-local}"\n'
        '[source]\npath = "x"\ncolumns = { user = "u", item = "i", timestamp = "t" }\n'
    )
    monkeypatch.setenv("MASTER", "local[2]")
    assert load(config).engine.spark_master == "local[2]"
    assert store_path(config) == load(config).store.path == tmp_path / "kept"
    monkeypatch.setenv("STORE", str(tmp_path / "elsewhere"))
    assert store_path(config) == load(config).store.path == tmp_path / "elsewhere"
