"""The command backfill: it shows its plan, and ends with 1 if a date failed."""

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
    words = ("--run", "--no-prefect", "--model", "popularity", "--set", "top_n.n=4")
    done = called(night, *words, "--json", code=1)
    dates = json.loads(done.stdout)["dates"]
    assert [one["state"] for one in dates] == ["failed", "published", "published"]
    assert "error: 1 of 3 dates failed" in done.stderr
    assert {one["release_id"] for one in dates[1:]} < set(night.published())
    again = called(night, *words, "--start", str(FIRST))
    assert again.stdout.count("skipped") == 2
