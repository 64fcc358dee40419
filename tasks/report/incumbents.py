"""What the settings have learned, on the page about a run: who won against whom, when, by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tasks.incumbents.document import Incumbents
from tasks.incumbents.sentences import settings_text
from tasks.store.runs import RunRecord

Row = dict[str, Any]
NUMBERS: Final = ("challenger", "nights", "users", "gain", "gain, 95 %", "evidence", "incumbent")


@dataclass(frozen=True)
class Learned:
    """A sentence, the challengers of the night, and the history, the last change first."""

    sentence: str
    judged: list[Row]
    history: list[Row]


def learned_settings(record: RunRecord) -> Learned | None:
    """Return what a run says about challengers; None if it could not try any."""
    if not record.finished("eve"):
        return None
    eve = record.station("eve").facts
    tonight = record.station("incumbents").facts if record.finished("incumbents") else {}
    state = Incumbents.model_validate(tonight.get("state", eve["state"]))
    sentence = tonight.get("change") or _unchanged(eve, tonight)
    return Learned(sentence, tonight.get("judged", []), _history(state))


def change_of(record: RunRecord) -> str:
    """Return a sentence about a change of tonight's settings; empty if there was none."""
    facts = record.station("incumbents").facts if record.finished("incumbents") else {}
    return str(facts.get("change", ""))


def _unchanged(eve: Row, tonight: Row) -> str:
    why = eve["why"] or tonight.get("why") or tonight.get("failed")
    if why:
        return f"No challengers were judged: {why}."
    return f"The settings of {tonight['model']} stay: no challenger is surely better."


def _history(state: Incumbents) -> list[Row]:
    return [
        {
            "date": change.as_of.isoformat(),
            "model": change.model,
            "settings": settings_text(change.before, change.after),
            "nights": change.nights,
            "users": change.users,
            "incumbent": f"{change.incumbent:.4f}",
            "gain": f"{change.gain:+.4f}",
            "gain, 95 %": f"{change.low:+.4f} – {change.high:+.4f}",
        }
        for change in reversed(state.history)
    ]
