"""What the settings learned, on the page: tonight's challengers, and the history."""

from __future__ import annotations

from typing import Any

import pytest
from worlds.release_world import World
from worlds.report_world import JUDGED, LEARNED, Page, configuration, the_run

from tasks.report.incumbents import change_of, learned_settings
from tasks.report.page import report_page
from tasks.store.runs import RunRecord, Station


def night(eve: dict[str, Any], incumbents: dict[str, Any] | None = None) -> RunRecord:
    """Return a record with the facts of the two stations."""
    facts = {"eve": {"state": LEARNED, "why": ""} | eve, "incumbents": incumbents}
    stations = [
        Station(kind=kind, seconds=0.1, peak_memory=1, facts=given) for kind, given in facts.items() if given
    ]
    return the_run(stations=stations)


def test_the_page_shows_tonights_challengers_and_the_history(world: World) -> None:
    page = Page(report_page(world.store, the_run(), configuration(world)))
    assert "The settings of als stay: no challenger is surely better." in page.text
    assert page.row("1", "factors 64 to 90") == [str(cell) for cell in JUDGED.values()]
    changed = ["2026-01-02", "als", "factors default to 64", "3", "1,200", "0.2000", "+0.0200"]
    assert page.row("2026-01-02", "als") == [*changed, "+0.0100 – +0.0300"]


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (
            night({"why": "there is no release before"}),
            "No challengers were judged: there is no release before.",
        ),
        (night({}, {"failed": "no memory"}), "No challengers were judged: no memory."),
        (
            night({}, {"state": LEARNED, "model": "als", "change": "als has new settings", "why": ""}),
            "als has new settings",
        ),
    ],
)
def test_a_sentence_says_what_happened_or_why_nothing_did(record: RunRecord, sentence: str) -> None:
    learned = learned_settings(record)
    assert learned is not None
    assert learned.sentence == sentence
    assert change_of(record) in {"", sentence}


def test_a_run_that_tries_nothing_says_nothing() -> None:
    assert learned_settings(the_run(stations=[])) is None
