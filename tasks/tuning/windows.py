"""Windows of the past on which settings are judged: all before the holdout, which is never read.

A study has its own copies of the datasets, so that it neither holds a night's lock while it trains nor loses
its data when runs are removed.
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
from tasks.evaluation.holdout import cut_of, make_holdout, indices_in_past
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
"""Written last: a folder without it is of a process that died while it built the windows."""


def study_of(configuration: Configuration, store: Store, as_of: date, model: str, **choices: Any) -> Path:
    """Return the folder of a study; the same date, configuration, model and choices lead to the same one."""
    facts = json.dumps([configuration.fingerprint(), sorted(choices.items())])
    return store.tuning(f"{as_of}-{model}-{hashlib.sha256(facts.encode()).hexdigest()[:8]}")


def is_built(study: Path) -> bool:
    """Tell whether the windows of a study are there."""
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
    """Write the datasets of `count` windows, together the last part of the past, and the past itself.

    `past` is the dataset up to the moment `until` where the holdout begins; the windows are as large a share
    of it as the holdout is of everything, each of about equally many events and trained on all before it.
    """
    share = configuration.evaluation.holdout_share
    cuts = sorted({cut_of(past, share * (count - number) / count) for number in range(count)})
    with writing(study):
        shutil.rmtree(study, ignore_errors=True)
        study.mkdir(parents=True)
        for number, cut in enumerate(cuts):
            make_events(configuration, ledger, engine, as_of, until=cut)
            build_dataset(configuration, engine, study / f"window-{number}", study / "scratch")
        shutil.rmtree(
            study / "scratch", ignore_errors=True
        )  # it holds the catalogues, all their users among them
        shutil.copytree(past, study / "past")
        write_json_atomically(study / FACTS, {"cuts": cuts, "until": until})


def drop_old(studies: Path, keep: int) -> list[Path]:
    """Remove the studies that were used longest ago, but for `keep` and those at work; return them."""
    from filelock import FileLock, Timeout

    if not studies.is_dir():
        return []
    found = sorted((one for one in studies.iterdir() if one.is_dir()), key=lambda one: one.stat().st_mtime)
    dropped = []
    for study in found[: -keep or None]:
        try:
            with FileLock(lock_of(study), timeout=0):
                shutil.rmtree(study)
                dropped.append(study)
        except Timeout:
            continue
    return dropped


def lock_of(study: Path) -> Path:
    """Return the file whose lock a process holds while it works on a study."""
    return study.with_name(f".{study.name}.lock")


def windows_of(
    configuration: Configuration, study: Path, metric: str, k: int
) -> list[Callable[[Factory, Callable[[Progress], None]], Values]]:
    """Return what measures settings on each window of a study, the earliest window first."""
    facts = read_json(study / FACTS)
    os.utime(study)
    stops = [*facts["cuts"][1:], facts["until"]]
    found = [
        _Window(configuration, study, number, between=between, of=(metric, k))
        for number, between in enumerate(zip(facts["cuts"], stops, strict=True))
    ]
    kept = [window for window in found if len(window.holdout.users)]
    if not kept:
        raise InputError(
            "expected users with a past and something to find before the holdout, got none: more events or a "
            "larger evaluation.holdout_share may help"
        )
    return list(kept)


class _Window:
    """One window, read once: a call trains a model on what was before it and measures it as a night does."""

    def __init__(
        self,
        configuration: Configuration,
        study: Path,
        number: int,
        *,
        between: tuple[int, int],
        of: tuple[str, int],
    ) -> None:
        folder, past = study / f"window-{number}", study / "past"
        self.configuration = configuration
        self.holdout = make_holdout(configuration, past, folder, *between)
        self.data = load_dataset(folder)
        self.metric, (self.k,) = of[0], self.holdout.cuts([of[1]])
        known = indices_in_past(past, folder, "user")  # of each user of the past the index in the window, or -1
        of_past = np.full(rows(folder, "users"), -1, dtype=np.int64)
        of_past[known[known >= 0]] = np.flatnonzero(known >= 0)
        self.users, self.n_users = of_past[self.holdout.users], len(known)

    def __call__(self, factory: Factory, progress: Callable[[Progress], None]) -> Values:
        """Return the metric of every user of the past, NaN for those who are not measured here."""
        from models.evaluation.metrics import judge
        from models.options import TrainingOptions

        train, resources = self.configuration.train, self.configuration.resources
        options = TrainingOptions(train.device, train.seed, threads=resources.threads, progress=progress)
        lists = self.holdout.lists(factory().fit(self.data, options), self.k, resources)
        judged = judge(lists, self.holdout.relevant, [self.k], threads=resources.threads).values()
        values = np.full(self.n_users, np.nan)
        values[self.users] = judged[self.metric, self.k]
        return values
