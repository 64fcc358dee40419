"""The row accounting by source: a line for each of several sources, and what tables have replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.interactions.account import Counts
from tasks.sources.discovery import LeftOut
from tasks.store.runs import RunRecord

COLUMNS = ("read", "accepted", "excluded", "quarantined", "duplicates")


def source_rows(record: RunRecord) -> list[dict[str, Any]]:
    """Return the account of all files so far by source; empty if there is one, or the run did not ingest."""
    if not record.finished("interactions"):
        return []
    return rows_of(record.station("interactions").facts.get("sources_total", {}))


def replaced_files(record: RunRecord) -> list[str]:
    """Return a text about the files that tables have replaced, by source and kind of table."""
    if not record.finished("interactions"):
        return []
    facts = record.station("interactions").facts.get("files_left_out", ())
    return [str(part) for part in (LeftOut(**fact) for fact in facts) if not part.is_news]


def rows_of(accounts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each source of accounts as plain values."""
    counts = {name: Counts.model_validate(account) for name, account in accounts.items()}
    return [
        {"source": name} | {column: getattr(account, column) for column in COLUMNS}
        for name, account in counts.items()
    ]
