"""The cost of Prefect for a night: ``python -m benchmarks.orchestration [--times 5]``.

Compares the demo's night with Prefect (flow, a task per station, limit, artifacts, log) and without
it. They take turns in one process, each starting without a store, after one uncounted night of each
kind. The first line covers the night alone. The second adds the start of a temporary server, which
a night without a running server pays once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

TIMES = 5


def prepare_demo(folder: Path) -> Path:
    """Write the demo's logs and configuration; return the configuration's path."""
    from flows.commands.demo import DEMO_START, write_demo_configuration
    from tasks.demo.logs import write_demo_logs

    config = write_demo_configuration(folder)
    write_demo_logs(
        folder / "logs", start=DEMO_START, days=29, users=3000, items=1000, events_per_day=8000, seed=7
    )
    return config


def seconds(run: Callable[[], None], store: Path) -> float:
    """Return the seconds of a night that starts without a store."""
    shutil.rmtree(store, ignore_errors=True)
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    """Measure nights with and without Prefect, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"PREFECT_HOME": f"{name}/prefect", "PREFECT_LOGGING_LEVEL": "WARNING"}
        measure(Path(name), times)


def measure(folder: Path, times: int) -> None:
    """Run the nights in turn and print their seconds."""
    from flows.run_nightly import run_with_prefect

    # isort: split
    from prefect.testing.utilities import prefect_test_harness

    from flows.commands.demo import DEMO_START
    from flows.night.run import run_night
    from tasks.configuration.configuration import load
    from tasks.runtime.progress import silent

    config = prepare_demo(folder / "demo")
    configuration, as_of = load(config), DEMO_START + timedelta(days=27)

    def with_prefect() -> None:
        record, failed = run_with_prefect(config, as_of, silent)
        assert record is not None, failed  # noqa: S101 - a failed night gives no figure

    def without_prefect() -> None:
        run_night(configuration, as_of)

    took: dict[str, list[float]] = {"with": [], "without": []}
    started = time.perf_counter()
    with prefect_test_harness(server_startup_timeout=240):
        server = time.perf_counter() - started
        for turn in range(times + 1):
            for kind, run in (("without", without_prefect), ("with", with_prefect)):
                elapsed = seconds(run, configuration.store.path)
                if turn:
                    took[kind].append(elapsed)
    medians = {kind: statistics.median(nights) for kind, nights in took.items()}
    ratios = [prefect / plain for prefect, plain in zip(took["with"], took["without"], strict=True)]
    print(
        f"a night of the demo: {medians['with']:.2f} s with Prefect, {medians['without']:.2f} s without: "
        f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f}, {times} pairs)"
    )
    ratio = (medians["with"] + server) / medians["without"]
    print(f"with the start of a temporary server ({server:.1f} s): {ratio:.2f} times")


if __name__ == "__main__":
    main()
