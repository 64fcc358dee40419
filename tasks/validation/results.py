"""The station `validation_results`: the gate's checks of a night's interactions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from sql.engines.engine import Engine
from sql.engines.text import render
from sql.source import Source
from tasks.configuration.configuration import Configuration
from tasks.interactions.account import Counts
from tasks.interactions.ledger import Ledger
from tasks.validation.checks import Check, GateClosedError
from tasks.validation.data_docs import finish_data_docs
from tasks.validation.expectations import (
    ARRIVED,
    Expectation,
    expectations,
    of_source,
    quarantine_rules,
)
from tasks.validation.profile import make_profile
from tasks.validation.suite import evaluate

TIMESTAMP_RULES = {"timestamp_after_file", "timestamp_out_of_range", "timestamp_unreadable"}
MOST_FREQUENT = 3  # rules named in the message
NO_ACCOUNTS: Final[Mapping[str, Counts]] = MappingProxyType({})
MOST_ROWS = 0.9  # the share of them that fails for the same reason


def validate(
    configuration: Configuration,
    engine: Engine,
    counts: Counts,
    as_of: date,
    data_docs: Path | None,
    *,
    arrived: Counts | None = None,
    by_source: Mapping[str, Counts] = NO_ACCOUNTS,
    excluding: Collection[str] | None = None,
    examples: Callable[[], Mapping[str, str]] = dict,
) -> list[Check]:
    """Check the engine's relation `events`; return every check, sorted by check and column.

    `counts` is the account of all rows up to `as_of` (`Ledger.known_on`). `arrived` is the account
    of the files of `as_of` itself (`Ledger.about`), because a bad night is only a small share of a
    long history; `by_source` has them by source, if there are several. `excluding` are the names of
    rules that do not quarantine, by default those that [source] has now. `data_docs` is a folder for
    pages about this run, which show figures only; None makes none.
    `examples` returns file:line of a row for each row rule (`quarantine_examples`); it is called
    only if needed.

    Raises
    ------
    GateClosedError
        If a check failed, with a line for each. Any pages are written before.
    ConfigurationError
        If [gate] does not fit the interactions.
    """
    profile = make_profile(configuration, engine, as_of)
    excluding = configuration.exclusion_rules() if excluding is None else excluding
    more: dict[str, Any] = {"by_source": by_source, "excluding": excluding}
    expected = expectations(configuration, profile, counts, arrived or counts, as_of, **more)
    holds = evaluate(expected, profile, as_of, data_docs)
    passed = {expectation: holds[expectation] if expectation.has_bounds else True for expectation in expected}
    checks = [_check(expectation, passed[expectation]) for expectation in expected]
    index = finish_data_docs(data_docs, checks, as_of) if data_docs else None
    failed = [part for part in expected if not passed[part] and part.asset != "row_rules"]
    if failed:
        accounts = {ARRIVED: arrived or counts, "": counts}
        accounts |= {of_source(name): account for name, account in by_source.items()}
        lines = _lines(failed, accounts, partial(_why, configuration, excluding), examples)
        head = f"{as_of}: {len(failed)} of the gate's expectations failed, so nothing was trained or "
        head += f"published (see {index})" if index else "published"
        raise GateClosedError("\n".join([head, *lines]), checks, index)
    return checks


def quarantine_examples(ledger: Ledger, engine: Engine) -> dict[str, str]:
    """Return file:line of a row that broke each row rule; in Parquet, line is the row number."""
    parts = [ledger.store.root / part for manifest in ledger.live_manifests() for part in manifest.quarantine]
    if not parts:
        return {}
    names = {file.file_id: file.address for file in ledger.files()}
    engine.parquet("quarantined", parts)
    rows = engine.fetch(
        render("validation/profile_quarantine", {"replaced": sorted(ledger.replaced())})
    ).to_pylist()
    return {row["rule"]: f"{names[row['file_id']]}:{row['line']}" for row in rows}


def _check(expectation: Expectation, passed: bool) -> Check:
    return Check(
        expectation.check,
        expectation.column,
        expectation.observed,
        expectation.threshold,
        passed,
        expectation.rows_failed,
    )


def _lines(
    failed: Sequence[Expectation],
    accounts: Mapping[str, Counts],
    why: Callable[[str, Counts, Mapping[str, str]], str],
    examples: Callable[[], Mapping[str, str]],
) -> Iterator[str]:
    known = examples() if any(expectation.check == "max_quarantined_share" for expectation in failed) else {}
    for expectation in failed:
        of = f" of {expectation.column}" if expectation.column else ""
        line = f"{expectation.check}{of}: expected {expectation.expected}, got {expectation.got}"
        if expectation.check == "max_quarantined_share":
            line += why(expectation.column, accounts[expectation.column], known)
        yield line


def _why(
    configuration: Configuration,
    excluding: Collection[str],
    column: str,
    counts: Counts,
    examples: Mapping[str, str],
) -> str:
    """Return the most frequent rules with examples, and a hint if timestamps are the cause."""
    named = [
        f"{rule} {rows:,}" + (f" (such as {examples[rule]})" if rule in examples else "")
        for rule, rows in quarantine_rules(counts, excluding)[:MOST_FREQUENT]
    ]
    about = [source for source in configuration.sources if of_source(source.name) == column]
    about = about or [source for source in configuration.sources if not source.name]
    failing = sum(counts.rules.get(rule, 0) for rule in TIMESTAMP_RULES)
    hint = _timestamp_hint(about[0]) if about and failing > MOST_ROWS * counts.read else ""
    return f"; most frequent: {', '.join(named)}{hint}"


def _timestamp_hint(source: Source) -> str:
    """Return what to look at if nearly all rows of a source fail by their timestamp."""
    return (
        f"; nearly all rows fail by their timestamp: is {source.section}.timestamp_format = "
        f"{source.timestamp_format!r} right? Known: iso, epoch_s, epoch_ms, epoch_us or a strptime pattern "
        "such as %d/%m/%Y %H:%M"
    )
