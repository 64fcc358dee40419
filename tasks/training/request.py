"""The request for a training, as a file in the run's folder: paths and settings, never data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from models.options import Device
from tasks.runtime.errors import StoreError, UserError
from tasks.store.files import read_json, write_json_atomically
from tasks.store.run_folder import RunFolder

if TYPE_CHECKING:  # a child needs no configuration, which takes half a second to import
    from tasks.configuration.configuration import Configuration

Phase = Literal["past", "served", "eve"]
"""past: trained without the last events, to be measured; served: trained on all events; eve: trained
on the events up to the release before, as an incumbent or a challenger."""


class TrainingRequest(BaseModel):
    """One training: its model, its settings, and where in the run's folder it reads and writes.

    `dataset` and `artefact` are relative to the run's folder, since a remote worker may mount the
    store elsewhere. `stamp` changes when the dataset is rewritten. `threads` 0 means every core of
    the machine that trains. `memory` is in bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    settings: dict[str, Any] = {}
    dataset: Path
    artefact: Path
    stamp: str = ""
    device: Device = "auto"
    seed: int = Field(ge=0, lt=2**32)
    threads: int = Field(ge=0, le=1024)
    memory: int = Field(ge=1)

    @field_validator("dataset", "artefact")
    @classmethod
    def _inside(cls, path: Path) -> Path:
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"expected a path inside the run's folder, got {str(path)!r}")
        return path


@dataclass(frozen=True)
class Training:
    """The address of one training: the folder of a run, a model, a phase.

    `contender` is the number of a challenger in the phase `eve`, 0 for the incumbent.
    """

    run: RunFolder
    model: str
    phase: Phase
    contender: int = 0

    @property
    def dataset(self) -> Path:
        """The folder of the training data."""
        folders = {"past": self.run.past, "served": self.run.dataset, "eve": self.run.eve}
        return folders[self.phase]

    @property
    def artefact(self) -> Path:
        """The folder of the trained model."""
        if self.phase == "eve":
            return self.run.eve_model(self.model, self.contender)
        return self.run.past_model(self.model) if self.phase == "past" else self.run.model(self.model)

    @property
    def file(self) -> Path:
        """The file of the request, beside the artefact."""
        return self.artefact.with_name(f"{self.artefact.name}.request.json")

    def digest(self) -> str:
        """Return a hash of this request, which includes its dataset's stamp."""
        return digest_of(self.file)


def write_request(
    training: Training, configuration: Configuration, changes: Mapping[str, Any] | None = None
) -> TrainingRequest:
    """Write the request of a training, with changed settings, and return it."""
    request = TrainingRequest(
        model=training.model,
        settings=configuration.settings_of(training.model) | dict(changes or {}),
        dataset=training.dataset.relative_to(training.run.root),
        artefact=training.artefact.relative_to(training.run.root),
        stamp=_stamp(training.dataset),
        device=configuration.train.device,
        seed=configuration.train.seed,
        threads=configuration.engine.threads,
        memory=configuration.resources.memory,
    )
    training.file.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(training.file, request.model_dump(mode="json"))
    return request


def read_request(file: Path) -> TrainingRequest:
    """Read a request and check it again: no path in it may leave the run's folder.

    Raises
    ------
    UserError
        If the file is missing or malformed, or names a folder outside the run's.
    """
    try:
        request = TrainingRequest.model_validate(read_json(file))
    except StoreError as error:
        raise UserError(f"expected a training request, got none: {error}") from None
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(map(str, mistake['loc']))}: {mistake['msg'].removeprefix('Value error, ')}"
            for mistake in error.errors(include_url=False, include_input=False)
        )
        raise UserError(f"{file}: {mistakes}") from None
    run = run_of(file)
    for path in (request.dataset, request.artefact):
        if not (run / path).resolve().is_relative_to(run):
            raise UserError(f"{file}: expected a path inside {run}, but {path} leads out of it")
    return request


def digest_of(file: Path) -> str:
    """Return the first 16 hex digits of a request's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def result_file(file: Path) -> Path:
    """Return the file with the facts of a finished training, beside its request."""
    return file.with_name(file.name.replace(".request.json", ".trained.json"))


def log_file(file: Path) -> Path:
    """Return the file with what a training prints, beside its request."""
    return file.with_name(file.name.replace(".request.json", ".log"))


def facts_of(file: Path, artefact: Path) -> dict[str, Any] | None:
    """Return the facts of the finished training of exactly this request, else None."""
    if not (file.is_file() and result_file(file).is_file()):
        return None
    facts = read_json(result_file(file))
    current = facts.get("request") == digest_of(file) and (artefact / "artefact.json").is_file()
    return facts if current else None


def run_of(file: Path) -> Path:
    """Return the folder of the run that a request belongs to."""
    return file.resolve().parent.parent


def _stamp(dataset: Path) -> str:
    """Return a hash of the names, sizes and modification times of a dataset's files."""
    facts = [
        (str(path.relative_to(dataset)), path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(dataset.rglob("*"))
        if path.is_file()
    ]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
