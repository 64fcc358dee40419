"""Takes in the logs of one folder after the other; prints what came of each, its peak memory and its time."""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import date
from pathlib import Path

from flows.night.run import ingest_only
from tasks.configuration.configuration import load
from tasks.runtime.errors import EXPECTED

PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        started, said, counts = time.monotonic(), "", {}
        try:
            counts = ingest_only(load(folder / "nightshelf.toml"), date(2026, 3, 2)).counts.model_dump()
        except EXPECTED as error:
            said = str(error)
        peak = PEAK.search(Path("/proc/self/status").read_text())
        facts = {"said": said, "counts": counts, "seconds": time.monotonic() - started}
        print(json.dumps(facts | {"peak": int(peak[1]) * 1024 if peak else 0}), flush=True)


main()
