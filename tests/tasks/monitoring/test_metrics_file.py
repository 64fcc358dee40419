"""The file for Prometheus, read with Prometheus' parser after every way a run can end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from worlds.night_world import FIRST, SECOND, THIRD, Night, shop, write_logs

from flows.night.pointer import point_readers
from flows.night.run import evaluate_only, run_night
from tasks.configuration.configuration import Configuration
from tasks.monitoring.metrics_file import metrics_text, write_metrics
from tasks.release.releases import current
from tasks.runtime.errors import UserError
from tasks.store.layout import Store
from tasks.store.runs import measured_metrics


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a shop with two published nights."""
    folder = tmp_path_factory.mktemp("done")
    night = shop(folder, write_logs(folder / "logs", days=3))
    run_night(small(night), FIRST)
    run_night(night.configured(), SECOND)
    return night


@pytest.fixture
def night(two_nights: Night, tmp_path: Path) -> Night:
    copy = two_nights.copy(tmp_path / "shop")
    write_metrics(copy.store)
    return copy


def small(night: Night) -> Configuration:
    """Return a configuration that trains only popularity and measures nothing."""
    popularity: dict[str, Any] = {"train__models": ["popularity"], "train__serve": "popularity"}
    return night.configured(evaluation__enabled=False, quality__enabled=False, **popularity)


def families(night: Night) -> dict[str, Any]:
    text = (night.store.root / "metrics.prom").read_text(encoding="utf-8")
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(night: Night) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the value of each sample by its name and its labels, without `store` and empty ones."""
    values = {}
    for family in families(night).values():
        for sample in family.samples:
            assert sample.labels["store"] == str(night.store.root)
            labels = frozenset(pair for pair in sample.labels.items() if pair[1] and pair[0] != "store")
            assert (sample.name, labels) not in values
            values[sample.name, labels] = sample.value
    return values


def value(night: Night, name: str, **labels: str) -> float:
    return samples(night)[f"nightshelf_{name}", frozenset(labels.items())]


def labelled(night: Night, name: str) -> Iterator[dict[str, str]]:
    return (dict(labels) for sample, labels in samples(night) if sample == f"nightshelf_{name}")


def test_the_metrics_of_a_published_night_match_its_record_and_release(two_nights: Night) -> None:
    night = two_nights
    record, release = night.records()[-1], current(night.store)
    assert value(night, "run_success", purpose="night") == 1
    ended = datetime.fromisoformat(record.finished_at).timestamp()
    assert value(night, "run_timestamp_seconds", purpose="night") == ended
    midnight = datetime(SECOND.year, SECOND.month, SECOND.day, tzinfo=UTC).timestamp()
    assert value(night, "run_as_of_timestamp_seconds", purpose="night") == midnight
    assert value(night, "release_as_of_timestamp_seconds") == midnight
    published = datetime.fromisoformat(release.manifest()["published_at"]).timestamp()
    assert value(night, "release_published_timestamp_seconds") == published
    assert value(night, "last_success_timestamp_seconds") == published
    expires = datetime.fromisoformat(release.expires_at).timestamp()
    assert value(night, "release_expires_timestamp_seconds") == expires
    assert value(night, "releases") == 2
    for station in record.stations:
        labels = {"purpose": "night", "station": station.name}
        assert value(night, "station_duration_seconds", **labels) == station.seconds
        assert value(night, "station_peak_memory_bytes", **labels) == station.peak_memory > 2**20
        if station.rows is not None:
            assert value(night, "station_rows", **labels) == station.rows
    assert {labels["station"] for labels in labelled(night, "station_duration_seconds")} == {
        station.name for station in record.stations
    }
    for row in measured_metrics(record):
        keys = {name: str(row[name]) for name in ("model", "split", "metric", "k")}
        assert value(night, "model_metric", purpose="night", **keys) == row["value"]


def test_the_rows_are_accounted_for(two_nights: Night) -> None:
    night = two_nights
    outcomes = ("accepted", "excluded", "quarantined", "duplicates")
    for name, labels in (("source_rows_total", {}), ("run_rows", {"purpose": "night"})):
        parts = [value(night, name, outcome=outcome, **labels) for outcome in outcomes]
        assert value(night, name, outcome="read", **labels) == sum(parts) > 0
    read = value(night, "source_rows_total", outcome="read")
    assert read > value(night, "run_rows", outcome="read", purpose="night")
    rules = sum(
        value(night, "source_rule_rows_total", **labels)
        for labels in labelled(night, "source_rule_rows_total")
    )
    refused = [value(night, "source_rows_total", outcome=outcome) for outcome in ("excluded", "quarantined")]
    assert rules == sum(refused) > 0


def test_names_types_and_help_follow_the_conventions(night: Night) -> None:
    text = metrics_text(night.store)
    metric_families = list(text_string_to_metric_families(text))
    assert len(metric_families) > 12
    for family in metric_families:
        assert family.name.startswith("nightshelf_")
        assert family.documentation.endswith(".")
        assert family.type in {"gauge", "counter"}
        assert (family.type == "counter") == any(sample.name.endswith("_total") for sample in family.samples)
    assert text.endswith("\n")


def test_a_refused_night_is_no_success_and_the_last_success_stays(night: Night) -> None:
    before = value(night, "last_success_timestamp_seconds")
    with pytest.raises(UserError):
        run_night(night.configured(gate__min_events=10**9), THIRD)
    record = night.records()[-1]
    assert record.state == "failed"
    assert value(night, "run_success", purpose="night") == 0
    ended = datetime.fromisoformat(record.finished_at).timestamp()
    assert value(night, "run_timestamp_seconds", purpose="night") == ended
    assert value(night, "last_success_timestamp_seconds") == before
    assert value(night, "release_published_timestamp_seconds") == before
    assert [labels["station"] for labels in labelled(night, "station_rows")] == ["interactions"]


def test_the_first_night_that_fails_leaves_a_success_at_0(two_nights: Night, tmp_path: Path) -> None:
    fresh = shop(tmp_path / "shop", two_nights.logs)
    with pytest.raises(UserError):
        run_night(fresh.configured(items__path=str(tmp_path / "none.csv")), FIRST)
    assert value(fresh, "last_success_timestamp_seconds") == 0
    assert not list(labelled(fresh, "release_expires_timestamp_seconds"))


def test_an_evaluation_has_its_metrics_beside_the_nights(night: Night) -> None:
    with pytest.raises(UserError):
        run_night(night.configured(gate__min_events=10**9), FIRST)
    popularity: dict[str, Any] = {"train__models": ["popularity"], "train__serve": "popularity"}
    evaluate_only(night.configured(**popularity), FIRST)
    assert value(night, "run_success", purpose="evaluation") == 1
    assert value(night, "run_success", purpose="night") == 0
    models = {row["model"] for row in labelled(night, "model_metric") if row["purpose"] == "evaluation"}
    assert models == {"popularity"}


def test_a_rollback_shows_at_once(night: Night) -> None:
    second = value(night, "release_as_of_timestamp_seconds")
    point_readers(night.store, None, "rollback")
    assert second - value(night, "release_as_of_timestamp_seconds") == 24 * 3600
    assert value(night, "last_success_timestamp_seconds") > 0


def test_an_unwritable_file_is_a_warning_and_does_not_fail_the_night(
    night: Night, caplog: pytest.LogCaptureFixture
) -> None:
    target = night.store.root / "metrics.prom"
    target.unlink()
    target.mkdir()
    (target / "in the way").touch()
    run_night(small(night), THIRD)
    assert str(night.pointed()).startswith(str(THIRD))
    assert "metrics.prom still holds" in caplog.text


def test_labels_with_quotes_and_line_breaks_stay_one_sample(night: Night, tmp_path: Path) -> None:
    odd = Store(night.store.root.rename(tmp_path / 'a "shop"\\\nof ours'))
    by_name = {family.name: family for family in text_string_to_metric_families(metrics_text(odd))}
    assert [sample.labels["store"] for sample in by_name["nightshelf_releases"].samples] == [str(odd.root)]
