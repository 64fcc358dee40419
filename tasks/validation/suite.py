"""The gate's Great Expectations suites: run over small frames of figures, never over the events."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from html import escape
from pathlib import Path
from typing import Any

from tasks.validation.expectations import Expectation
from tasks.validation.profile import Profile

SUITE = "nightshelf_{}"
FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": 0}  # no failing values, anywhere


def judge(
    expected: Sequence[Expectation], profile: Profile, as_of: date, site: Path
) -> dict[Expectation, bool]:
    """Return which expectations hold, by Great Expectations, and write its pages into the folder `site`.

    Nothing is printed, sent or left in the working directory.

    Raises
    ------
    RuntimeError
        If Great Expectations could not evaluate an expectation: a fault of the program.
    """
    context = _context(site)
    gx = _great_expectations()
    source = context.data_sources.add_pandas("interactions")
    run_id = gx.RunIdentifier(run_name=as_of.isoformat(), run_time=datetime.combine(as_of, time(), UTC))
    holds: dict[Expectation, bool] = {}
    for asset, frame in _frames(expected, profile).items():
        mine = [one for one in expected if one.asset == asset and one.judged]
        suite = gx.ExpectationSuite(name=SUITE.format(asset), expectations=[_translated(one) for one in mine])
        batch = source.add_dataframe_asset(asset).add_batch_definition_whole_dataframe(asset)
        definition = gx.ValidationDefinition(name=asset, data=batch, suite=context.suites.add(suite))
        result = context.validation_definitions.add(definition).run(
            batch_parameters={"dataframe": frame}, result_format=FORMAT, run_id=run_id
        )
        holds |= _answers(mine, result)
    with _swallowing_nothing():
        context.build_data_docs()
    return holds


def figure_name(expectation: Expectation) -> str:
    """Return the column of the asset's frame that holds the figure; no two expectations share one."""
    if expectation.asset in {"days", "event_types"}:
        return expectation.column
    if expectation.asset == "row_rules":
        return expectation.check
    return f"{expectation.check}_{expectation.column}" if expectation.column else expectation.check


def _great_expectations() -> Any:
    """Return the library, imported late: it takes seconds."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings(), _main_with_a_file():
        # it imports pyspark, which warns of pandas 3 on its own behalf; no frame goes from one to the other
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        warnings.filterwarnings("ignore", "module 'sre_(constants|parse)' is deprecated", DeprecationWarning)
        import great_expectations
    return great_expectations


@contextmanager
def _main_with_a_file() -> Iterator[None]:
    """Give `__main__` a file for a moment, where it has none (python -c, or a program on stdin).

    It imports pyspark.sql.connect, which takes a main module without one for its own doctests and, where
    grpcio is missing, ends the whole program with exit code 0.
    """
    main = sys.modules["__main__"]
    if hasattr(main, "__file__"):
        yield
        return
    main.__file__ = "<no file>"
    try:
        yield
    finally:
        del main.__file__


@contextmanager
def _swallowing_nothing() -> Iterator[None]:
    """Raise what its site builder only logs, with a stack, before it goes on without the page."""
    swallowed: list[BaseException] = []

    def keep(record: logging.LogRecord) -> bool:
        error = sys.exc_info()[1]  # the logger is called where the error was caught
        if error is not None and record.levelno >= logging.ERROR:
            swallowed.append(error)
        return error is None

    log = logging.getLogger("great_expectations.render.renderer.site_builder")
    log.addFilter(keep)
    try:
        yield
    finally:
        log.removeFilter(keep)
    if swallowed:
        raise swallowed[0]


def _context(site: Path) -> Any:
    """Return a context that lives in memory and writes nothing but its pages, into `site`."""
    gx = _great_expectations()
    from great_expectations.data_context.types import base

    site_settings = {
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
        data_docs_sites={"gate": site_settings},
        analytics_enabled=False,
        progress_bars=base.ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=settings)


def _frames(expected: Sequence[Expectation], profile: Profile) -> Mapping[str, Any]:
    """Return the frames, by asset: one row of figures, or a row a day, or a row an event type."""
    import pandas as pd  # type: ignore[import-untyped]

    rows: dict[str, dict[str, Any]] = {"profile": {}, "row_rules": {}}
    for one in expected:
        if one.asset in rows and one.judged:
            rows[one.asset][figure_name(one)] = one.figure
    frames = {asset: pd.DataFrame([row]) for asset, row in rows.items() if row}
    if profile.days:
        frames["days"] = pd.DataFrame({"event_date": list(profile.days)})
    if any(one.asset == "event_types" for one in expected):
        types = [escape(name) for name in profile.event_types]
        frames["event_types"] = pd.DataFrame({"event_type": types}, dtype="object")
    return frames


def _translated(one: Expectation) -> Any:
    gxe = _great_expectations().expectations
    # its pages show texts as they are, so that a type named <img onerror=...> would be an element
    words: dict[str, Any] = {"column": figure_name(one), "description": escape(f"{one.check}: {one.wanted}")}
    if one.known is not None:
        return gxe.ExpectColumnValuesToBeInSet(value_set=[escape(name) for name in one.known], **words)
    return gxe.ExpectColumnMaxToBeBetween(min_value=one.low, max_value=one.high, **words)


def _answers(mine: Sequence[Expectation], result: Any) -> dict[Expectation, bool]:
    """Return what became of each expectation; the column of the figure says which is whose."""
    by_column = {answer.expectation_config.kwargs["column"]: answer for answer in result.results}
    holds = {}
    for one in mine:
        answer = by_column[figure_name(one)]
        if not answer.result:
            raise RuntimeError(f"Great Expectations could not evaluate {one}: {answer.exception_info}")
        holds[one] = bool(answer.success)
    return holds
