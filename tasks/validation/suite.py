"""The gate's Great Expectations suites, run on small frames of figures, never on events."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from html import escape
from pathlib import Path
from typing import Any

from tasks.validation.expectations import Expectation
from tasks.validation.library import great_expectations
from tasks.validation.profile import Profile

SUITE = "nightshelf_{}"
FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": 0}  # no failing values, anywhere


def evaluate(
    expected: Sequence[Expectation], profile: Profile, as_of: date, site: Path | None
) -> dict[Expectation, bool]:
    """Evaluate expectations with Great Expectations; return which hold; write pages to `site`, if any.

    Expectations without bounds are left out. Nothing is printed, sent or written elsewhere.

    Raises
    ------
    RuntimeError
        If Great Expectations could not evaluate an expectation, which is a bug.
    """
    context = _context(site)
    gx = great_expectations()
    source = context.data_sources.add_pandas("interactions")
    run_id = gx.RunIdentifier(run_name=as_of.isoformat(), run_time=datetime.combine(as_of, time(), UTC))
    holds: dict[Expectation, bool] = {}
    for asset, frame in _frames(expected, profile).items():
        selected = [item for item in expected if item.asset == asset and item.has_bounds]
        suite = gx.ExpectationSuite(
            name=SUITE.format(asset), expectations=[_translated(expectation) for expectation in selected]
        )
        batch = source.add_dataframe_asset(asset).add_batch_definition_whole_dataframe(asset)
        definition = gx.ValidationDefinition(name=asset, data=batch, suite=context.suites.add(suite))
        result = context.validation_definitions.add(definition).run(
            batch_parameters={"dataframe": frame}, result_format=FORMAT, run_id=run_id
        )
        holds |= _results(selected, result)
    if site is not None:
        with _raising_logged_errors():
            context.build_data_docs()
    return holds


def figure_name(expectation: Expectation) -> str:
    """Return the column of the asset's frame with the figure, unique to each expectation."""
    if expectation.asset in {"days", "event_types"}:
        return expectation.column
    if expectation.asset == "row_rules":
        return expectation.check
    return f"{expectation.check}_{expectation.column}" if expectation.column else expectation.check


@contextmanager
def _raising_logged_errors() -> Iterator[None]:
    """Raise an error that the site builder only logs, before it goes on without the page."""
    logged: list[BaseException] = []

    def keep(record: logging.LogRecord) -> bool:
        error = sys.exc_info()[1]  # the logger is called where the error is caught
        if error is not None and record.levelno >= logging.ERROR:
            logged.append(error)
        return error is None

    log = logging.getLogger("great_expectations.render.renderer.site_builder")
    log.addFilter(keep)
    try:
        yield
    finally:
        log.removeFilter(keep)
    if logged:
        raise logged[0]


def _context(site: Path | None) -> Any:
    """Return a context in memory that writes nothing but its pages, into `site` if there is one."""
    gx = great_expectations()
    from great_expectations.data_context.types import base

    sites: dict[str, Any] = {}
    if site is not None:
        sites["gate"] = {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(site.resolve()),
            },
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        }
    settings = base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        data_docs_sites=sites,
        analytics_enabled=False,
        progress_bars=base.ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=settings)


def _frames(expected: Sequence[Expectation], profile: Profile) -> Mapping[str, Any]:
    """Return a frame for each asset: a row of figures, a row per day, or a row per event type."""
    import pandas as pd  # type: ignore[import-untyped]

    rows: dict[str, dict[str, Any]] = {"profile": {}, "row_rules": {}}
    for expectation in expected:
        if expectation.asset in rows and expectation.has_bounds:
            rows[expectation.asset][figure_name(expectation)] = expectation.figure
    frames = {asset: pd.DataFrame([row]) for asset, row in rows.items() if row}
    if profile.days:
        frames["days"] = pd.DataFrame({"event_date": list(profile.days)})
    if any(expectation.asset == "event_types" for expectation in expected):
        types = [escape(name) for name in profile.event_types]
        frames["event_types"] = pd.DataFrame({"event_type": types}, dtype="object")
    return frames


def _translated(expectation: Expectation) -> Any:
    """Return the expectation as an object of Great Expectations."""
    gxe = great_expectations().expectations
    # its pages do not escape texts: an event type named <img onerror=...> would become an element
    arguments: dict[str, Any] = {
        "column": figure_name(expectation),
        "description": escape(f"{expectation.check}: {expectation.expected}"),
    }
    if expectation.known is not None:
        value_set = [escape(name) for name in expectation.known]
        return gxe.ExpectColumnValuesToBeInSet(value_set=value_set, **arguments)
    return gxe.ExpectColumnMaxToBeBetween(min_value=expectation.low, max_value=expectation.high, **arguments)


def _results(selected: Sequence[Expectation], result: Any) -> dict[Expectation, bool]:
    """Return which expectations hold; results are matched by the column of the figure."""
    by_column = {item.expectation_config.kwargs["column"]: item for item in result.results}
    holds = {}
    for expectation in selected:
        item = by_column[figure_name(expectation)]
        if not item.result:
            raise RuntimeError(f"Great Expectations could not evaluate {expectation}: {item.exception_info}")
        holds[expectation] = bool(item.success)
    return holds
