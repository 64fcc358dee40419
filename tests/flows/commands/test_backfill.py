"""The command backfill: it shows its plan, and exits with 1 if a date failed."""

from __future__ import annotations

import json

from worlds.backfill_world import called, files
from worlds.night_world import FIRST, Night


def test_the_command_shows_the_plan_unless_told_to_run(night: Night) -> None:
    before = files(night.store.root)
    shown = json.loads(called(night, "--json").stdout)
    assert (shown["dry_run"], shown["runs"], shown["warnings"]) == (True, 3, [])
    assert shown["dates"][1] == {"as_of": str(FIRST), "action": "run", "reason": "no release"}
    assert "3 of 3 dates to run; about " in called(night).stdout
    assert files(night.store.root) == before
    refused = called(night, "--mode", "some", code=1)
    assert refused.stderr == "error: unknown mode 'some'; known: missing, failed, all\n"


def test_the_command_ends_with_1_if_a_date_failed_and_the_others_are_there(night: Night) -> None:
    arguments = ("--run", "--no-prefect", "--model", "popularity", "--set", "top_n.n=4")
    result = called(night, *arguments, "--json", code=1)
    dates = json.loads(result.stdout)["dates"]
    assert [row["state"] for row in dates] == ["failed", "published", "published"]
    assert "error: 1 of 3 dates failed" in result.stderr
    assert {row["release_id"] for row in dates[1:]} < set(night.published())
    rerun = called(night, *arguments, "--start", str(FIRST))
    assert rerun.stdout.count("skipped") == 2
