"""A Spark engine in a separate process: `python watched_engine.py CONFIG OVERRIDES`.

It notes the threads of Spark, of its Java process, and of what this process would start while the
engine is open, within the limits of a night. `watched/` watches it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tasks.configuration.configuration import load
from tasks.configuration.engines import open_engine
from worlds.watched_night import ready, spark


def main(config: str, overrides: str) -> None:
    """Open the engine, run a query and note the limits."""
    configuration = load(Path(config), json.loads(overrides))
    scratch = Path(config).parent
    with configuration.resources.applied(), open_engine(configuration, scratch) as engine:
        ready("engine")
        engine.fetch("SELECT 1 AS one")
        spark()


if __name__ == "__main__":
    main(*sys.argv[1:])
