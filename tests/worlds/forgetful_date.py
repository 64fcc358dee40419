"""A date of a backfill whose run folder is gone when it ends, as after runs of many other dates.

It stands for `python -m flows.backfill.one_date`.
"""

from __future__ import annotations

import shutil
import sys
from typing import Any

import flows.backfill.one_date
from flows.night.retries import run_directly
from tasks.store.layout import Store


def run_here(order: flows.backfill.one_date.Order, *, report: Any) -> Any:
    """Run a date, then remove the folder of its run."""
    record = whole(order, run_directly, report)
    shutil.rmtree(record.folder(Store(order.configuration.store.path)).root)
    return record


if __name__ == "__main__":
    whole, flows.backfill.one_date.run_here = flows.backfill.one_date.run_here, run_here
    sys.exit(flows.backfill.one_date.main())
