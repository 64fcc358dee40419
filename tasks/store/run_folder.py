"""The folder of a run, <store>/runs/<as_of>/<run_id>: its layout, and the list of all runs."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tasks.store.layout import Store
from tasks.store.names import checked_date, checked_name

RECORD: Final = "run.json"
REPORT: Final = "report.html"
DATA_DOCS: Final = "data_docs"
STAGING: Final = "staging"


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run; each lies inside the store, or StoreError is raised."""

    store: Store
    as_of: dt.date | str
    run_id: str

    @property
    def root(self) -> Path:
        """The folder itself."""
        return self._inside()

    @property
    def record(self) -> Path:
        """run.json: the finished stations, their results and their costs."""
        return self._inside(RECORD)

    @property
    def dataset(self) -> Path:
        """The dataset of everything up to as_of."""
        return self._inside("dataset")

    @property
    def models(self) -> Path:
        """The models trained on `dataset`, by name."""
        return self._inside("models")

    @property
    def past(self) -> Path:
        """The dataset up to the start of the holdout."""
        return self._inside("past")

    @property
    def past_models(self) -> Path:
        """The models trained on `past`, by name."""
        return self._inside("past-models")

    @property
    def eve(self) -> Path:
        """The dataset up to the date of the release before."""
        return self._inside("eve")

    @property
    def staging(self) -> Path:
        """The folder where the release is built; publication renames it into the releases."""
        return self._inside(STAGING)

    @property
    def data_docs(self) -> Path:
        """The pages of the validation gate."""
        return self._inside(DATA_DOCS)

    @property
    def report(self) -> Path:
        """The page about the run."""
        return self._inside(REPORT)

    def model(self, name: str) -> Path:
        """Return the folder of a model trained on everything up to as_of."""
        return self._inside("models", checked_name("model name", name))

    def past_model(self, name: str) -> Path:
        """Return the folder of a model trained up to the start of the holdout."""
        return self._inside("past-models", checked_name("model name", name))

    def eve_model(self, name: str, contender: int) -> Path:
        """Return the folder of an incumbent (0) or challenger of a model, trained on `eve`."""
        return self._inside("eve-models", f"{checked_name('model name', name)}-{contender:d}")

    def _inside(self, *parts: str) -> Path:
        day, run_id = str(checked_date(self.as_of)), checked_name("run id", self.run_id)
        return self.store.inside("runs", day, run_id, *parts)


def run_paths(store: Store, as_of: dt.date | None = None) -> list[Path]:
    """Return the folders of all runs, or of a date's runs, in the order of their starts.

    Folders with other names, such as renamed by hand, are included, so that they are searched and
    pruned too.
    """
    day = "????-??-??" if as_of is None else str(as_of)
    folders = [path for path in store.runs.glob(f"{day}/*") if path.is_dir()]
    return sorted(folders, key=lambda folder: (folder.name, str(folder)))


def record_paths(store: Store, as_of: dt.date | None = None) -> list[Path]:
    """Return the record paths of all runs, or of a date's runs, in the order of their starts."""
    records = (folder / RECORD for folder in run_paths(store, as_of))
    return [path for path in records if path.is_file()]
