"""A night: its folder, its record and its results so far."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any

from tasks.configuration.configuration import Configuration
from tasks.incumbents.document import Incumbents
from tasks.incumbents.plan import contestable
from tasks.incumbents.state import tuned
from tasks.interactions.ledger import Ledger
from tasks.quality.champion import Measured
from tasks.recommendations.serving import EVERYBODY, Serving, resolve_serving
from tasks.runtime.progress import Report, silent
from tasks.store.layout import LOCK_WAIT, Store
from tasks.store.names import release_id_of
from tasks.store.run_folder import RunFolder
from tasks.store.runs import RunRecord
from tasks.training.plan import Plan, make_plan
from tasks.training.train import Trainer, train_in_child


@dataclass(frozen=True)
class Result:
    """A station's result: its number of rows (None if it has none) and facts for the record."""

    rows: int | None
    facts: dict[str, Any]


@dataclass
class Night:
    """One run for one date: its folder, its record and its results so far."""

    configuration: Configuration
    store: Store
    as_of: date
    record: RunRecord
    report: Report = silent
    trainer: Trainer = train_in_child

    @property
    def folder(self) -> RunFolder:
        """The folder that holds everything the run makes."""
        return self.record.folder(self.store)

    @property
    def release_id(self) -> str:
        """The id of the release, published or not."""
        return release_id_of(self.as_of, self.record.run_id)

    @property
    def serving(self) -> Serving:
        """Which model serves which users; with `best`, known only once the model is chosen."""
        if not self.configuration.train.chooses:
            return resolve_serving(self.configuration)
        facts = self.record.station("served_model").facts
        chosen = {value: choice["model"] for value, choice in facts["segments"].items()}
        return resolve_serving(self.configuration, {EVERYBODY: facts["model"], **chosen})

    @property
    def similar_model(self) -> str:
        """The model whose similar items are shown; where a floor was chosen, a personal one."""
        from tasks.recommendations.similar_items import similar_model

        served, failed = self.serving.default, self.record.failed_models
        if not self.configuration.train.chooses:
            return served
        names = [name for name in self.configuration.train.models if name not in failed]
        return similar_model(served, self.record.station("served_model").facts["figures"], names)

    @property
    def half_life_days(self) -> float | None:
        """The half-life of popularity, by the model recent_popularity; None without it or one."""
        facts = [s.facts for s in self.record.stations if s.model == "recent_popularity" and not s.failed]
        return facts[-1].get("half_life_days") if facts else None

    @property
    def measured(self) -> Measured | None:
        """The models measured on the last events; None if none were."""
        if not self.record.finished("holdout"):
            return None
        cut = int(self.record.station("holdout").facts["cut"])
        return Measured(self.folder.past, self.folder.past_models, cut)

    @property
    def learns(self) -> bool:
        """Whether the run publishes, and may try settings beside those of the models that serve."""
        return self.record.purpose == "night" and bool(contestable(self.configuration))

    @property
    def incumbents(self) -> Incumbents | None:
        """What the settings of the models are tonight; None without any that were learned."""
        for kind in ("incumbents", "eve"):
            if self.record.finished(kind) and "state" in (facts := self.record.station(kind).facts):
                return Incumbents.model_validate(facts["state"])
        return None

    @property
    def tuned(self) -> Configuration:
        """The configuration with the settings of the incumbents: what the models train with."""
        return tuned(self.configuration, self.incumbents)

    @property
    def size(self) -> dict[str, int]:
        """The size of the dataset, known once that is built."""
        facts = self.record.station("dataset").facts
        counts = {"users": facts["users"], "items": facts["items"], "pairs": facts["trained_pairs"]}
        return counts | {"products": facts.get("products", 0)}  # which older runs do not have

    @property
    def plan(self) -> Plan:
        """Which models fit the budget, by the size of the dataset."""
        return self.plan_with(self.incumbents)

    def plan_with(self, state: Incumbents | None) -> Plan:
        """Return the plan of a night with these incumbents."""
        return make_plan(tuned(self.configuration, state), **self.size)

    def ledger(self) -> Ledger:
        """Return the ingests that count tonight; later ingests of other runs are not among them."""
        return Ledger.read(self.store).up_to(self.record.station("interactions").facts["last_ingest"])

    def writing(self, purpose: str) -> AbstractContextManager[None]:
        """Hold the store's lock, waiting for another writer."""
        return self.store.lock(f"run for {self.as_of}: {purpose}", LOCK_WAIT, self.report)


def last_ingest(store: Store) -> str | None:
    """Return the id of the last committed ingest; None if there is none."""
    manifests = Ledger.read(store).manifests
    return manifests[-1].ingest_id if manifests else None
