"""What the gate expects of a night's interactions, and the figures to compare with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from tasks.configuration.configuration import Configuration
from tasks.interactions.account import Counts
from tasks.validation.profile import ALWAYS_FILLED, Profile

QUARANTINE = "quarantine"
ARRIVED = "arrived"
QUARANTINED_SHARE = "max_quarantined_share"


def of_source(name: str) -> str:
    """Return the column of a check about the arrived rows of one of several sources."""
    return f"{ARRIVED}_{name}"


@dataclass(frozen=True)
class Expectation:
    """An expectation: a figure between `low` and `high`, or texts that are all among `known`.

    `figure` is a number or ISO date in the frame `asset`, or a tuple of texts if `known` is given.
    `low` and `high` are inclusive. `expected` and `got` are texts for messages. An expectation
    without bounds always holds; `got` says why there are none.
    """

    check: str
    column: str
    asset: str
    figure: float | str | tuple[str, ...]
    expected: str
    got: str
    low: float | str | None = None
    high: float | str | None = None
    known: tuple[str, ...] | None = None
    rows_failed: int = 0

    @property
    def has_bounds(self) -> bool:
        """Whether there is anything to compare with."""
        return (self.low, self.high, self.known) != (None, None, None)

    @property
    def observed(self) -> str:
        """The figure as text; for texts, only how many are unknown, since they may be anything."""
        if not self.has_bounds:
            return self.got
        if isinstance(self.figure, tuple):
            return f"{len(set(self.figure) - set(self.known or ()))} unknown"
        return self.figure if isinstance(self.figure, str) else f"{self.figure:.10g}"

    @property
    def threshold(self) -> str:
        """The bounds as text."""
        if self.known is not None:
            return f"in {', '.join(self.known)}"
        low = self.low if isinstance(self.low, str) else f"{self.low or 0:.10g}"
        high = self.high if isinstance(self.high, str) else f"{self.high or 0:.10g}"
        if self.low is not None and self.high is not None:
            return f">= {low} and <= {high}"
        return (
            f">= {low}" if self.low is not None else f"<= {high}" if self.high is not None else self.expected
        )


def expectations(
    configuration: Configuration,
    profile: Profile,
    counts: Counts,
    arrived: Counts,
    as_of: date,
    *,
    by_source: Mapping[str, Counts],
    excluding: Collection[str],
) -> list[Expectation]:
    """Return all expectations, sorted by check and column; rules in `excluding` do not quarantine.

    `by_source` are the accounts of the arrived rows of several sources: a large source would hide that
    no row of a small one can be read.
    """
    unsorted = [
        *_sizes(configuration, profile, as_of),
        *_columns(configuration, profile),
        *_dates(profile, as_of),
        *_volume(configuration, profile, as_of),
        *_rows(configuration, counts, ""),
        *(_rows(configuration, arrived, ARRIVED) if arrived != counts else ()),
        *(
            expectation
            for name, account in by_source.items()
            for expectation in _rows(configuration, account, of_source(name))
            if account.read and expectation.check == QUARANTINED_SHARE
        ),
        *_rules(configuration, counts, excluding),
    ]
    return sorted(unsorted, key=lambda expectation: (expectation.check, expectation.column))


def quarantine_rules(counts: Counts, excluding: Collection[str]) -> list[tuple[str, int]]:
    """Return the rules that quarantined rows, with their number of rows, largest first."""
    rules = [(rule, rows) for rule, rows in counts.rules.items() if rule not in excluding and rows]
    return sorted(rules, key=lambda rule: (-rule[1], rule[0]))


def percent(share: float) -> str:
    """Return a share as percent, with enough decimals to tell a small share from zero."""
    return f"{100 * share:.4g}%"


def _sizes(configuration: Configuration, profile: Profile, as_of: date) -> Iterator[Expectation]:
    gate = configuration.gate
    for name, least in (("events", gate.min_events), ("users", gate.min_users), ("items", gate.min_items)):
        size = profile.figures[name]
        yield Expectation(
            check=f"min_{name}",
            column="",
            asset="profile",
            figure=size,
            expected=f"at least {least:,} {name} up to {as_of}",
            got=f"{size:,}",
            low=least,
        )


def _columns(configuration: Configuration, profile: Profile) -> Iterator[Expectation]:
    gate, figures, events = configuration.gate, profile.figures, profile.figures["events"]
    for column, most in sorted((dict.fromkeys(ALWAYS_FILLED, 0.0) | gate.max_null_share).items()):
        nulls = figures[f"nulls_{column}"]
        share = nulls / max(events, 1)
        yield Expectation(
            check="max_null_share",
            column=column,
            asset="profile",
            figure=share,
            expected=f"at most {percent(most)} nulls",
            got=f"{percent(share)} ({nulls:,} of {events:,} events)",
            high=most,
            rows_failed=nulls,
        )
    weighted = any(source.columns.weight is not None for source in configuration.sources)
    bounds = (
        ("min_value", "value", "value_low", f"no value below {gate.min_value}", gate.min_value is not None),
        ("max_value", "value", "value_high", f"no value above {gate.max_value}", gate.max_value is not None),
        ("min_weight", "weight", "weight_low", "no weight below 0", weighted),
    )
    for check, column, figure, expected, configured in bounds:
        if configured:
            yield _no_rows(check, column, figures[figure], events, expected)
    if configuration.event_weights:
        yield _event_types(tuple(sorted(configuration.event_weights)), profile)


def _no_rows(check: str, column: str, rows: int, events: int, expected: str) -> Expectation:
    return Expectation(
        check=check,
        column=column,
        asset="profile",
        figure=rows,
        expected=expected,
        got=f"{rows:,} of {events:,} events",
        high=0,
        rows_failed=rows,
    )


def _event_types(known: tuple[str, ...], profile: Profile) -> Expectation:
    unknown = {name: rows for name, rows in profile.event_types.items() if name not in known}
    rows = sum(unknown.values())
    return Expectation(
        check="event_types",
        column="event_type",
        asset="event_types",
        figure=tuple(profile.event_types),
        expected=f"only the types of source.event_weights ({', '.join(known)})",
        got=f"{len(unknown):,} others, in {rows:,} events",
        known=known,
        rows_failed=rows,
    )


def _dates(profile: Profile, as_of: date) -> Iterator[Expectation]:
    today, events = as_of.isoformat(), profile.figures["events"]
    expected = f"no event after the end of {today}"
    yield _no_rows("not_after_as_of", "timestamp", profile.figures["late"], events, expected)
    if profile.days:
        last = max(profile.days)
        yield Expectation(
            check="not_after_as_of",
            column="event_date",
            asset="days",
            figure=last,
            expected=f"no day after {today}",
            got=f"{last} as the last day",
            high=today,
            rows_failed=sum(events for day, events in profile.days.items() if day > today),
        )


def _volume(configuration: Configuration, profile: Profile, as_of: date) -> Iterator[Expectation]:
    gate = configuration.gate
    volume = profile.volume(as_of, gate.volume_days)
    if gate.require_events_on_as_of:
        yield Expectation(
            check="events_on_as_of",
            column="event_date",
            asset="profile",
            figure=volume.on_as_of,
            expected=f"events on {as_of} itself (gate.require_events_on_as_of)",
            got=f"{volume.on_as_of:,}" if volume.on_as_of else "none",
            low=1,
        )
    times, middle = f"{gate.min_volume_ratio:g} to {gate.max_volume_ratio:g} times", volume.median
    common: dict[str, Any] = {"check": "volume", "column": "event_date", "asset": "profile"}
    if middle is None or not volume.on_as_of:
        why = f"no events on {as_of}" if middle else f"not enough history, no day with events before {as_of}"
        expected = f"{times} the median of earlier days"
        yield Expectation(**common, figure=0, expected=expected, got=f"not compared: {why}")
        return
    days = f"the last {len(volume.earlier)} earlier days with events"
    yield Expectation(
        **common,
        figure=volume.on_as_of / middle,
        expected=f"{times} the median of {days} ({middle:,g})",
        got=f"{volume.on_as_of / middle:.3g} times ({volume.on_as_of:,} events on {as_of})",
        low=gate.min_volume_ratio,
        high=gate.max_volume_ratio,
    )


def _rows(configuration: Configuration, counts: Counts, column: str) -> Iterator[Expectation]:
    gate = configuration.gate
    of = "rows that arrived for the date" if column else "rows read"
    for check, rows, most, noun in (
        (QUARANTINED_SHARE, counts.quarantined, gate.max_quarantined_share, "in quarantine"),
        ("max_duplicate_share", counts.duplicates, gate.max_duplicate_share, "exact duplicates"),
    ):
        share = rows / max(counts.read, 1)
        yield Expectation(
            check=check,
            column=column,
            asset="profile",
            figure=share,
            expected=f"at most {percent(most)} of the {of} {noun}",
            got=f"{percent(share)} ({rows:,} of {counts.read:,})",
            high=most,
            rows_failed=rows,
        )


def _rules(configuration: Configuration, counts: Counts, excluding: Collection[str]) -> Iterator[Expectation]:
    """Yield an expectation for each row rule: its rows alone are within the share for all rules."""
    most = configuration.gate.max_quarantined_share
    for rule, rows in quarantine_rules(counts, excluding):
        share = rows / max(counts.read, 1)
        yield Expectation(
            check=rule,
            column=QUARANTINE,
            asset="row_rules",
            figure=share,
            expected=f"at most {percent(most)} of the rows read",
            got=f"{percent(share)} ({rows:,} of {counts.read:,})",
            high=most,
            rows_failed=rows,
        )
