"""Windows of the past on which settings are measured, all before the holdout, which is never read.

A study copies the datasets, so that it needs no night's lock while it trains and keeps its data
when runs are removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.configuration.configuration import Configuration
from tasks.dataset.arrays import load_dataset
from tasks.dataset.build import build_dataset
from tasks.dataset.parts import rows
from tasks.evaluation.holdout import cut_of, indices_in_past, make_holdout
from tasks.interactions.events import make_events
from tasks.interactions.ledger import Ledger
from tasks.runtime.errors import InputError
from tasks.store.files import read_json, write_json_atomically, writing
from tasks.store.layout import Store

if TYPE_CHECKING:
    from models.evaluation.protocols import Factory
    from models.options import Progress
    from sql.engines.engine import Engine

Values = npt.NDArray[np.float64]
FACTS = "windows.json"
"""Written last: a folder without it was left by a process that died while building windows."""


def study_folder(configuration: Configuration, store: Store, as_of: date, model: str, **choices: Any) -> Path:
    """Return the folder of a study, which date, configuration, model and choices determine."""
    facts = json.dumps([configuration.fingerprint(), sorted(choices.items())])
    return store.tuning(f"{as_of}-{model}-{hashlib.sha256(facts.encode()).hexdigest()[:8]}")


def is_built(study: Path) -> bool:
    """Return whether the windows of a study are complete."""
    return (study / FACTS).is_file()


def build_windows(
    configuration: Configuration,
    ledger: Ledger,
    engine: Engine,
    as_of: date,
    *,
    past: Path,
    until: int,
    count: int,
    study: Path,
) -> None:
    """Write the datasets of `count` windows at the end of the past, and of the past itself.

    `past` is the dataset up to `until`, where the holdout begins. The windows together are as large
    a share of it as the holdout is of everything. Each has about the same number of events, and is
    measured with models trained on all events before it.
    """
    share = configuration.evaluation.holdout_share
    cuts = sorted({cut_of(past, share * (count - number) / count) for number in range(count)})
    with writing(study):
        shutil.rmtree(study, ignore_errors=True)
        study.mkdir(parents=True)
        for number, cut in enumerate(cuts):
            make_events(configuration, ledger, engine, as_of, until=cut)
            build_dataset(configuration, engine, study / f"window-{number}", study / "scratch")
        shutil.rmtree(study / "scratch", ignore_errors=True)  # has all users of the catalogues
        shutil.copytree(past, study / "past")
        write_json_atomically(study / FACTS, {"cuts": cuts, "until": until})


def remove_old_studies(studies: Path, keep: int) -> list[Path]:
    """Remove all but the `keep` most recently used studies and active ones; return the removed."""
    from filelock import FileLock, Timeout

    if not studies.is_dir():
        return []
    folders = [path for path in studies.iterdir() if path.is_dir()]
    oldest_first = sorted(folders, key=lambda folder: folder.stat().st_mtime)
    removed = []
    for study in oldest_first[: -keep or None]:
        try:
            with FileLock(study_lock(study), timeout=0):
                shutil.rmtree(study)
                removed.append(study)
        except Timeout:
            continue
    return removed


def study_lock(study: Path) -> Path:
    """Return the lock file that a process holds while it works on a study."""
    return study.with_name(f".{study.name}.lock")


def load_windows(
    configuration: Configuration, study: Path, metric: str, k: int
) -> list[Callable[[Factory, Callable[[Progress], None]], Values]]:
    """Return a function per window, earliest first, that measures settings on it."""
    facts = read_json(study / FACTS)
    os.utime(study)
    stops = [*facts["cuts"][1:], facts["until"]]
    windows = [
        _Window(configuration, study, number, between=between, metric_at=(metric, k))
        for number, between in enumerate(zip(facts["cuts"], stops, strict=True))
    ]
    measurable = [window for window in windows if len(window.holdout.users)]
    if not measurable:
        raise InputError(
            "expected users with events before and in a validation window, got none: add events or raise "
            "evaluation.holdout_share"
        )
    return list(measurable)


class _Window:
    """A window in memory: a call trains a model on the events before it and measures it."""

    def __init__(
        self,
        configuration: Configuration,
        study: Path,
        number: int,
        *,
        between: tuple[int, int],
        metric_at: tuple[str, int],
    ) -> None:
        folder, past = study / f"window-{number}", study / "past"
        self.configuration = configuration
        self.holdout = make_holdout(configuration, past, folder, *between)
        self.data = load_dataset(folder)
        self.metric, (self.k,) = metric_at[0], self.holdout.cuts([metric_at[1]])
        known = indices_in_past(past, folder, "user")  # by past user: window index or -1
        past_index = np.full(rows(folder, "users"), -1, dtype=np.int64)
        past_index[known[known >= 0]] = np.flatnonzero(known >= 0)
        self.users, self.n_users = past_index[self.holdout.users], len(known)

    def __call__(self, factory: Factory, progress: Callable[[Progress], None]) -> Values:
        """Return the metric of every user of the past, NaN for users not measured here."""
        from models.evaluation.metrics import match_lists
        from models.options import TrainingOptions

        train, resources = self.configuration.train, self.configuration.resources
        options = TrainingOptions(train.device, train.seed, threads=resources.threads, progress=progress)
        lists = self.holdout.lists(factory().fit(self.data, options), self.k, resources)
        figures = match_lists(lists, self.holdout.relevant, [self.k], threads=resources.threads).values()
        values = np.full(self.n_users, np.nan)
        values[self.users] = figures[self.metric, self.k]
        return values
