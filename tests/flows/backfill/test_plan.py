"""The plan of a backfill: dates, reasons, estimate and resources."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from worlds.backfill_world import BEFORE, FOURTH, files
from worlds.night_world import FIRST, SECOND, THIRD, Night, shop

from flows.backfill.plan import backfill_configuration, estimate, plan, warnings
from flows.night.run import run_night
from tasks.runtime.errors import ConfigurationError, UserError


def test_the_modes_choose_dates_and_say_why(night: Night) -> None:
    configuration = night.configured()
    with pytest.raises(UserError):
        run_night(configuration, BEFORE)
    actions = {
        mode: [date_planned.action for date_planned in plan(configuration, BEFORE, FOURTH, mode)]
        for mode in ("missing", "failed", "all")
    }
    assert actions == {
        "missing": ["run", "run", "run", "skip", "run"],
        "failed": ["run", "skip", "skip", "skip", "skip"],
        "all": ["run"] * 5,
    }
    planned = plan(configuration, BEFORE, FOURTH, "missing", newest_first=True)
    assert [date_planned.as_of for date_planned in planned] == [FOURTH, THIRD, SECOND, FIRST, BEFORE]
    assert planned[0].reason == "no release"
    assert planned[1].reason == f"released as {night.pointed()}"
    assert planned[4].reason.startswith(f"run {night.records()[-1].run_id} failed: ")


def test_a_plan_changes_nothing_even_where_there_is_no_store(night: Night, tmp_path: Path) -> None:
    before = files(night.store.root)
    plan(night.configured(), FIRST, FOURTH)
    assert files(night.store.root) == before
    fresh = shop(tmp_path / "fresh", night.logs)
    planned = plan(fresh.configured(), FIRST, FOURTH)
    assert [date_planned.action for date_planned in planned] == ["run"] * 4
    assert estimate(fresh.configured(), planned) is None
    assert not fresh.store.root.exists()


def test_the_estimate_is_the_last_runs_seconds_for_every_date_to_run(night: Night) -> None:
    seconds = sum(station.seconds for station in night.records()[-1].stations)
    planned = plan(night.configured(), FIRST, FOURTH)
    assert estimate(night.configured(), planned) == pytest.approx(3 * seconds)
    assert warnings(night.configured(), planned) == ()
    kept, parallel = warnings(night.configured(store__keep_releases=2), planned, max_parallel=2)
    assert kept.startswith("3 dates to run, but [store] keep_releases is 2")
    assert parallel == "2 dates at once share the resources: 512MiB and 1 threads each"
    with pytest.raises(UserError, match=r"memory = 511MiB: expected at least 2 times 256MiB for duckdb"):
        warnings(night.configured(engine__memory="511MiB"), planned, max_parallel=2)


def test_ranges_and_modes_that_mean_nothing_are_refused(third: Night) -> None:
    configuration = third.configured()
    with pytest.raises(UserError, match=r"on or after the start 2026-03-03, got 2026-03-02"):
        plan(configuration, SECOND, FIRST)
    tomorrow = datetime.now(ZoneInfo("UTC")).date() + timedelta(days=2)
    with pytest.raises(UserError, match=f"not in the future, got {tomorrow}"):
        plan(configuration, FIRST, tomorrow)
    with pytest.raises(UserError, match="unknown mode 'some'; known: missing, failed, all"):
        plan(configuration, FIRST, SECOND, "some")
    with pytest.raises(UserError, match="at most 3660 dates"):
        plan(configuration, date(202, 3, 2), SECOND)


def test_models_can_be_chosen_for_a_backfill(third: Night) -> None:
    assert backfill_configuration(third.config).train.models == ("popularity", "recent_popularity")
    assert backfill_configuration(third.config, ["als", "popularity"]).train.serve == "popularity"
    chosen = backfill_configuration(third.config, ["als", "als"]).train
    assert (chosen.models, chosen.serve) == (("als",), "als")
    with pytest.raises(ConfigurationError, match="unknown model 'asl'; known: als"):
        backfill_configuration(third.config, ["asl"])


def test_keys_of_the_configuration_can_be_replaced_for_a_backfill(third: Night) -> None:
    changed = backfill_configuration(third.config, ["als"], {"models.als.factors": 2, "top_n.n": 3})
    assert (changed.train.models, changed.top_n.n) == (("als",), 3)
    assert changed.models["als"] == {"factors": 2, "iterations": 3}
