"""Whether the ids of a catalogue, or of `blocked_items`, are ids of the logs, and if not, why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sql.engines.engine import Engine
from sql.engines.text import render
from tasks.configuration.configuration import Configuration
from tasks.runtime.errors import InputError
from tasks.runtime.wording import counted

WAYS = ("case or spaces", "leading zeros or a .0 at the end")
"""How the same ids are often spelled, from the least to the largest difference."""


@dataclass(frozen=True)
class Matches:
    """How a list of ids and the logs fit.

    Of the list, `unreadable` rows have no id of the logs' type, and `repeated` ones repeat the id of
    a later row. `matched` of its `ids` are ids of the logs; `missing` ids of the logs are not in it.
    `difference` is the likely reason for those, and `in_logs` and `in_list` an example of it.
    """

    ids: int
    matched: int
    missing: int
    unreadable: int = 0
    repeated: int = 0
    difference: str = ""
    in_logs: str = ""
    in_list: str = ""

    @property
    def few(self) -> bool:
        """Whether most ids of the logs are missing."""
        return self.missing > self.matched


def match_ids(engine: Engine, kind: str, catalogue: str, relation: str, id_type: str) -> Matches:
    """Compare a list of ids with the logs' ids of a kind, user or item.

    The relation `catalogue` has the list's distinct ids, in the column id; `relation` has its rows,
    with their id_text. The engine must have the relation `users` or `items`.
    """
    values = {"catalogue": catalogue, "relation": relation, "known": f"{kind}s", "id": f"{kind}_id"}
    (counts,) = engine.fetch(render("dataset/id_matches", values | {"id_type": id_type})).to_pylist()
    ids, readable = counts["ids"], counts["readable"]
    matches = Matches(
        ids,
        counts["matched"],
        counts["missing"],
        unreadable=counts["rows"] - readable,
        repeated=readable - ids,
    )
    if matches.matched == ids or not matches.missing:
        return matches
    spelled = engine.fetch(render("dataset/spellings", values | {"ways": WAYS})).to_pylist()
    likely = max(spelled, key=lambda row: (row["ids"], -WAYS.index(row["way"])))
    if not likely["ids"]:
        return matches
    return replace(matches, difference=likely["way"], in_logs=likely["in_logs"], in_list=likely["in_list"])


def require_matches(configuration: Configuration, matches: Mapping[str, Matches]) -> None:
    """Raise InputError if the catalogue of items should hold items back and knows none of them."""
    items, section = matches.get("items"), configuration.items
    if items is not None and not items.matched and (section.available is not None or section.only):
        key = "available" if section.available is not None else "only"
        raise InputError(
            f"[items] {key} would have no effect: none of the {items.ids:,} ids of the catalogue is an id of "
            f"the logs{_reason(items)}"
        )


def match_warnings(configuration: Configuration, matches: Mapping[str, Matches]) -> Iterator[str]:
    """Yield what a user should know about the catalogues and the blocked items."""
    for kind in ("items", "users"):
        if kind in matches:
            yield from _catalogue_warnings(configuration, kind, matches[kind])
    blocked = matches["blocked_items"]
    if unmatched := blocked.ids - blocked.matched:
        count = f"{unmatched:,} of {blocked.ids:,}"
        yield f"[top_n] blocked_items: {count} are no item of the logs{_reason(blocked)}"


def _catalogue_warnings(configuration: Configuration, kind: str, fit: Matches) -> Iterator[str]:
    known, id_type = fit.matched + fit.missing, getattr(configuration, f"{kind[:-1]}_id_type")
    if fit.unreadable:
        yield f"[{kind}] catalogue: {_rows(fit.unreadable, 'have')} no id, or none of type {id_type}"
    if fit.repeated:
        yield f"[{kind}] catalogue: {_rows(fit.repeated, 'repeat')} an id; the last row of an id counts"
    if fit.few:
        reason = _reason(fit) if kind == "items" else _difference(fit)  # an id of a user is personal
        yield f"[{kind}] catalogue: it has only {fit.matched:,} of the {known:,} {kind} of the logs{reason}"
    elif fit.missing and kind == "items":
        lacking = f"[items] catalogue: {fit.missing:,} of the {known:,} items of the logs are not in it"
        if not configuration.items.only:
            yield (f"{lacking}, and are recommended all the same; only = true holds them back{_reason(fit)}")
        elif fit.difference:
            yield f"{lacking}, and are held back{_reason(fit)}"


def _rows(number: int, verb: str) -> str:
    one = {"have": "has", "repeat": "repeats"}[verb]
    return f"{counted(number, 'row')} {one if number == 1 else verb}"


def _reason(matches: Matches) -> str:
    if not matches.difference:
        return ""
    return f"{_difference(matches)}: {matches.in_list!r:.100} for {matches.in_logs!r:.100}"


def _difference(matches: Matches) -> str:
    return f"; ids seem to differ by {matches.difference}" if matches.difference else ""
