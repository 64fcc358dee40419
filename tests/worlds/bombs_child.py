"""Ingests the logs of folders in turn; prints the outcome, peak memory and time of each."""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import date
from pathlib import Path

from flows.night.run import ingest_only
from tasks.configuration.configuration import load
from tasks.runtime.errors import EXPECTED_ERRORS

PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        started, message, counts = time.monotonic(), "", {}
        try:
            counts = ingest_only(load(folder / "nightshelf.toml"), date(2026, 3, 2)).counts.model_dump()
        except EXPECTED_ERRORS as error:
            message = str(error)
        peak = PEAK.search(Path("/proc/self/status").read_text())
        facts = {"message": message, "counts": counts, "seconds": time.monotonic() - started}
        print(json.dumps(facts | {"peak": int(peak[1]) * 1024 if peak else 0}), flush=True)


main()
