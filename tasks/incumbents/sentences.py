"""What a contest says in words, for the terminal, the page and `status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tasks.incumbents.document import FACT, Change, read_incumbents
from tasks.quality.checks import is_telling

if TYPE_CHECKING:
    from tasks.incumbents.contest import Judged

DEFAULT: Final = "default"


def settings_text(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return the settings that differ, such as `factors default to 64`; by name."""
    names = sorted(name for name in {*before, *after} if _text(before, name) != _text(after, name))
    return ", ".join(f"{name} {_text(before, name)} to {_text(after, name)}" for name in names)


def change_sentence(change: Change, metric: str) -> str:
    """Return a sentence about a change of the incumbent."""
    changed = settings_text(change.before, change.after)
    if not change.nights:
        return f"{change.model} could not be trained with what it had learned, on {change.as_of}: {changed}"
    telling = is_telling(change.gain, change.incumbent)
    share = f" ({change.gain / change.incumbent:+.1%})" if telling else f" on {change.incumbent:.4f}"
    return (
        f"{change.model} has new settings since {change.as_of}: "
        f"{changed}; {metric} {change.gain:+.4f} "
        f"[{change.low:+.4f}, {change.high:+.4f}]{share} over {change.nights} nights, {change.users:,} users"
    )


def judged_rows(judged: Sequence[Judged], before: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each challenger of a night, for the record and the page.

    `evidence` is ln E beside what a win needs (tasks/incumbents/evidence.py).
    """
    from tasks.incumbents.evidence import needed

    rows = []
    for entry in judged:
        combined, challenger = entry.evidence, entry.challenger
        row: dict[str, Any] = {
            "challenger": challenger.number,
            "settings": settings_text(before, challenger.settings),
            "nights": 0,
            "users": 0,
            "gain": "",
            "gain, 95 %": "",
            "evidence": "",
            "verdict": entry.verdict,
        }
        if combined is not None:
            row |= {
                "nights": combined.nights,
                "users": combined.users,
                "gain": f"{combined.gain:+.4f}",
                "gain, 95 %": f"{combined.low:+.4f} – {combined.high:+.4f}",
                "evidence": f"{combined.log_evidence:.1f} of {needed(challenger.number):.1f}",
            }
        rows.append(row)
    return rows


def _text(settings: Mapping[str, Any], name: str) -> str:
    if name not in settings:
        return DEFAULT
    value = settings[name]
    return "none" if value is None else str(value)


def changed_settings(manifest: Mapping[str, Any]) -> str:
    """Return a sentence about a change of the settings by a release; empty if there was none."""
    state = read_incumbents(manifest.get(FACT), "")
    last = state.history[-1] if state.history else None
    if last is None or str(last.as_of) != str(manifest.get("as_of")):
        return ""
    return change_sentence(last, str(manifest[FACT]["metric"]))
