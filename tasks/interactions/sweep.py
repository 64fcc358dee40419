"""Removal of files that no committed ingest names."""

from __future__ import annotations

from tasks.interactions.ledger import Ledger
from tasks.store.files import writing
from tasks.store.layout import Store


def sweep(store: Store, ledger: Ledger) -> int:
    """Remove the leftovers of killed ingests; return the number of files removed.

    Leftovers are Parquet files that no committed manifest names, empty folders of days, and
    half-written manifests.
    """
    named = {store.root / path for manifest in ledger.live_manifests() for path in manifest.parquet_paths()}
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
