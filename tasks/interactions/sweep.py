"""Removing what no committed ingest names."""

from __future__ import annotations

from tasks.interactions.ledger import Ledger
from tasks.store.files import writing
from tasks.store.layout import Store


def sweep(store: Store, ledger: Ledger) -> int:
    """Remove what no committed ingest names (a killed one left it); return the number of files.

    That is Parquet files, folders of days without any, and half-written records of ingests.
    """
    named = {store.root / path for manifest in ledger.living() for path in manifest.written()}
    days = [*store.interactions.glob("*/"), *store.quarantine.glob("*/")]
    orphans = [path for day in days for path in day.glob("*.parquet") if path not in named]
    orphans += store.ingests.glob(".*.tmp")
    with writing(store.root):
        for path in orphans:
            path.unlink()
        for day in days:
            if not any(day.iterdir()):
                day.rmdir()
    return len(orphans)
