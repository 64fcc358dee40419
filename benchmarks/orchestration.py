"""What Prefect costs a night: ``python -m benchmarks.orchestration [--times 5]``.

The demo's night with Prefect (flow, a task a station, limit, artifacts, log) against the same stations
without, in turn in one process and on fresh copies of one store, after one night of each kind that is not
counted. The first line is about the night alone; the second adds the start of a temporary server, which a
night without a running server pays once.
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


def prepared(folder: Path) -> Path:
    """Write the demo's logs and configuration; return the configuration's path."""
    from flows.commands.demo import DEMO_START, write_demo_configuration
    from tasks.demo.logs import write_demo_logs

    config = write_demo_configuration(folder)
    write_demo_logs(
        folder / "logs", start=DEMO_START, days=29, users=3000, items=1000, events_per_day=8000, seed=7
    )
    return config


def seconds(run: Callable[[], None], store: Path) -> float:
    """Return the seconds of a night that begins with no store."""
    shutil.rmtree(store, ignore_errors=True)
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    """Measure both ways and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"PREFECT_HOME": f"{name}/prefect", "PREFECT_LOGGING_LEVEL": "WARNING"}
        measure(Path(name), times)


def measure(folder: Path, times: int) -> None:
    """Run the nights in turn and print what they took."""
    from flows.run_nightly import run_with_prefect

    # isort: split
    from prefect.testing.utilities import prefect_test_harness

    from flows.commands.demo import DEMO_START
    from flows.night.run import run_night
    from tasks.configuration.configuration import load
    from tasks.runtime.progress import silent

    config = prepared(folder / "demo")
    configuration, as_of = load(config), DEMO_START + timedelta(days=27)

    def with_prefect() -> None:
        record, failed = run_with_prefect(config, as_of, silent)
        assert record is not None, failed  # noqa: S101 - a night that failed is no figure

    def without() -> None:
        run_night(configuration, as_of)

    took: dict[str, list[float]] = {"with": [], "without": []}
    started = time.perf_counter()
    with prefect_test_harness(server_startup_timeout=240):
        server = time.perf_counter() - started
        for place in range(times + 1):
            for kind, run in (("without", without), ("with", with_prefect)):
                one = seconds(run, configuration.store.path)
                if place:
                    took[kind].append(one)
    middle = {kind: statistics.median(all_of_it) for kind, all_of_it in took.items()}
    ratios = [one / other for one, other in zip(took["with"], took["without"], strict=True)]
    print(
        f"a night of the demo: {middle['with']:.2f} s with Prefect, {middle['without']:.2f} s without: "
        f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f}, {times} pairs)"
    )
    whole = (middle["with"] + server) / middle["without"]
    print(f"with the start of a temporary server ({server:.1f} s): {whole:.2f} times")


if __name__ == "__main__":
    main()
