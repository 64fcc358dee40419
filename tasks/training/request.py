"""What a training is asked for, as a file in the run's folder: addresses and settings, never data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from models.options import Device
from tasks.runtime.errors import StoreError, UserError
from tasks.store.files import read_json, write_json_atomically
from tasks.store.run_folder import RunFolder

if TYPE_CHECKING:  # as a training child needs no configuration: half a second of imports
    from tasks.configuration.configuration import Configuration

Phase = Literal["past", "served"]
"""past: without the last events, to be measured; served: on everything up to the date."""


class TrainingRequest(BaseModel):
    """One training: its model and settings, and where in the run's folder it reads and writes.

    `dataset` and `artefact` are relative to the run's folder, so that a worker that sees the store elsewhere
    finds them. `stamp` changes when the dataset is written again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    settings: dict[str, Any] = {}
    dataset: Path
    artefact: Path
    stamp: str = ""
    device: Device = "auto"
    seed: int = Field(ge=0, lt=2**32)
    threads: int = Field(0, ge=0, le=1024)

    @field_validator("dataset", "artefact")
    @classmethod
    def _inside(cls, path: Path) -> Path:
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"expected a path inside the run's folder, got {str(path)!r}")
        return path


@dataclass(frozen=True)
class Training:
    """The address of one training: the folder of a run, a model, a phase."""

    run: RunFolder
    model: str
    phase: Phase

    @property
    def dataset(self) -> Path:
        """What is trained on."""
        return self.run.past if self.phase == "past" else self.run.dataset

    @property
    def artefact(self) -> Path:
        """The folder of the trained model."""
        return self.run.past_model(self.model) if self.phase == "past" else self.run.model(self.model)

    @property
    def file(self) -> Path:
        """The request, beside the artefact."""
        return self.artefact.with_name(f"{self.model}.request.json")

    def digest(self) -> str:
        """Return what tells this request, of this dataset, from any other."""
        return digest_of(self.file)


def write_request(training: Training, configuration: Configuration) -> TrainingRequest:
    """Write the request of a training and return it."""
    request = TrainingRequest(
        model=training.model,
        settings=configuration.settings_of(training.model),
        dataset=training.dataset.relative_to(training.run.root),
        artefact=training.artefact.relative_to(training.run.root),
        stamp=_stamp(training.dataset),
        device=configuration.train.device,
        seed=configuration.train.seed,
        threads=configuration.engine.threads,
    )
    training.file.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(training.file, request.model_dump(mode="json"))
    return request


def read_request(file: Path) -> TrainingRequest:
    """Return the request in a file, checked again: nothing in it may lead out of the run's folder.

    Raises
    ------
    UserError
        If it is missing, malformed, or names a folder elsewhere.
    """
    try:
        request = TrainingRequest.model_validate(read_json(file))
    except StoreError as error:
        raise UserError(f"no training was asked for: {error}") from None
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False, include_input=False)
        )
        raise UserError(f"{file}: {said}") from None
    run = run_of(file)
    for path in (request.dataset, request.artefact):
        if not (run / path).resolve().is_relative_to(run):
            raise UserError(f"{file}: expected a path inside {run}, but {path} leads out of it")
    return request


def digest_of(file: Path) -> str:
    """Return a hash of a request."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def result_of(file: Path) -> Path:
    """Return where the facts of a finished training are kept, beside its request."""
    return file.with_name(file.name.replace(".request.json", ".trained.json"))


def facts_of(file: Path, artefact: Path) -> dict[str, Any] | None:
    """Return the facts of the training of this very request, if it came to its end, else None."""
    if not (file.is_file() and result_of(file).is_file()):
        return None
    facts = read_json(result_of(file))
    whole = facts.get("request") == digest_of(file) and (artefact / "artefact.json").is_file()
    return facts if whole else None


def run_of(file: Path) -> Path:
    """Return the folder of the run that a request lies in."""
    return file.resolve().parent.parent


def _stamp(dataset: Path) -> str:
    """Return a hash of the names, sizes and times of a dataset's files."""
    facts = [
        (str(path.relative_to(dataset)), path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(dataset.rglob("*"))
        if path.is_file()
    ]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
