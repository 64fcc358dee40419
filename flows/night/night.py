"""A night: where it works and what it knows so far."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any

from tasks.configuration.configuration import Configuration
from tasks.interactions.ledger import Ledger
from tasks.quality.champion import Measured
from tasks.recommendations.serving import EVERYBODY, Serving, served_models
from tasks.runtime.progress import Report, silent
from tasks.store.layout import LOCK_WAIT, Store
from tasks.store.names import release_id_of
from tasks.store.run_folder import RunFolder
from tasks.store.runs import RunRecord
from tasks.training.train import Trainer, train_in_child


@dataclass(frozen=True)
class Result:
    """What a station gives: rows (None where they mean nothing) and facts for the record, both small."""

    rows: int | None
    facts: dict[str, Any]


@dataclass
class Night:
    """One run for one date: where it works, and what it has found out so far."""

    configuration: Configuration
    store: Store
    as_of: date
    record: RunRecord
    report: Report = silent
    trainer: Trainer = train_in_child

    @property
    def folder(self) -> RunFolder:
        """Where the run keeps what it makes."""
        return self.record.folder(self.store)

    @property
    def release_id(self) -> str:
        """The id that the release has, or will have."""
        return release_id_of(self.as_of, self.record.run_id)

    @property
    def serving(self) -> Serving:
        """Who is served by which model; with `best` only once that is chosen."""
        if not self.configuration.train.chooses:
            return served_models(self.configuration)
        facts = self.record.station("served_model").facts
        chosen = {value: one["model"] for value, one in facts["segments"].items()}
        return served_models(self.configuration, {EVERYBODY: facts["model"], **chosen})

    @property
    def measured(self) -> Measured | None:
        """What was measured without the last events, None where nothing was."""
        if not self.record.finished("holdout"):
            return None
        cut = int(self.record.station("holdout").facts["cut"])
        return Measured(self.folder.past, self.folder.past_models, cut)

    def ledger(self) -> Ledger:
        """Return the ingests that count tonight: what is committed later by another run is not among them."""
        return Ledger.read(self.store).up_to(self.record.station("interactions").facts["last_ingest"])

    def writing(self, purpose: str) -> AbstractContextManager[None]:
        """Hold the store's lock, waiting for another writer."""
        return self.store.lock(f"run for {self.as_of}: {purpose}", LOCK_WAIT, self.report)


def last_ingest(store: Store) -> str | None:
    """Return the id of the ingest that was committed last, None where nothing was taken in."""
    manifests = Ledger.read(store).manifests
    return manifests[-1].ingest_id if manifests else None
