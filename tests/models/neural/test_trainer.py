"""The trainer on a cheap regression: early stopping, seeds, checkpoints and resuming."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.paths import IMPORTABLE

from models.device import choose_device, epoch_generator, torch_threads
from models.errors import ModelError
from models.neural.adam import Adam
from models.neural.trainer import Trainer, learning_rate
from models.neural.trainer_config import TrainerConfig
from models.options import Progress, TrainingOptions

CPU = torch.device("cpu")


class Line:
    """Fit y = 2 x with a dropout and a linear layer; scores per epoch and a bad loss can be set."""

    def __init__(
        self, scores: list[float] | None = None, bad_update: int | None = None, validated: bool = True
    ) -> None:
        self.module = torch.nn.Sequential(torch.nn.Dropout(0.2), torch.nn.Linear(4, 4))
        self.scores = None if scores is None else iter(scores)
        self.bad_update, self.validated = bad_update, validated
        self.weights: list[torch.Tensor] = []
        self.optimizer = Adam(list(self.module.parameters()), 0.0)

    def batches(self, order: np.random.Generator) -> Iterator[torch.Tensor]:
        for _ in range(3):
            yield torch.from_numpy(order.random((8, 4), dtype=np.float32))

    def loss(self, batch: torch.Tensor, update: int, draw: torch.Generator) -> torch.Tensor:
        noise = torch.randn(batch.shape, generator=draw) * 0.1
        loss = (self.module(batch + noise) - 2 * batch).square().mean()
        return loss * math.nan if update == self.bad_update else loss

    def score(self) -> float | None:
        if not self.validated:
            return None
        self.weights.append(self.module[1].weight.detach().clone())
        if self.scores is not None:
            return next(self.scores)
        return -float((self.module(torch.eye(4)) - 2 * torch.eye(4)).square().mean())

    def digest(self) -> str:
        return "line"


class Killed(Exception):
    """Stands for the end of the process."""


def train(
    line_options: dict[str, object] | None = None,
    *,
    checkpoints: Path | None = None,
    seed: int = 3,
    kill_after: int | None = None,
    **config: object,
) -> tuple[dict[str, torch.Tensor], dict[str, object], list[Progress]]:
    seen: list[Progress] = []

    def progress(step: Progress) -> None:
        seen.append(step)
        if step.epoch == kill_after:
            raise Killed

    settings_ = TrainerConfig.model_validate(
        {"epochs": 6, "checkpoint_seconds": 0, "learning_rate": 0.05} | config
    )
    options = TrainingOptions("cpu", seed, 1, checkpoints, progress)
    with torch_threads(1, CPU):
        epoch_generator(seed, 0, CPU)
        line = Line(**(line_options or {}))  # type: ignore[arg-type]
        report = Trainer("line", line, settings_, options).run()
    return line.module.state_dict(), report, seen


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first | second)


def test_training_learns_and_reports_progress() -> None:
    weights, report, seen = train(epochs=60, patience=60)
    assert [step.epoch for step in seen] == list(range(1, 61))
    assert seen[-1].epochs == 60
    assert seen[-1].metrics == {"loss": report["losses"][-1], "score": report["scores"][-1]}
    assert report["losses"][-1] < report["losses"][0] / 5
    assert report["update"] == 180
    assert (report["device"], report["resumed"]) == ("cpu", 0)
    assert weights["1.weight"].diagonal().min() > 0.7  # approaches 2, but dropout shrinks it


def test_the_seed_determines_the_weights_and_global_state_is_restored() -> None:
    torch.manual_seed(5)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    first, _, _ = train()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    torch.manual_seed(6)
    assert same(first, train()[0])
    assert not same(first, train(seed=4)[0])


def test_early_stopping_waits_for_the_patience_and_restores_the_best_weights() -> None:
    with torch_threads(1, CPU):
        line = Line(scores=[0.1, 0.4, 0.3, 0.4, 0.2, 0.9])
        config = TrainerConfig(epochs=6, patience=3)
        report = Trainer("line", line, config, TrainingOptions("cpu", 3, 1)).run()
    # an equal score is not better; 0.9 is never reached
    assert report["scores"] == [0.1, 0.4, 0.3, 0.4, 0.2]
    assert (report["best_epoch"], report["best_score"]) == (2, 0.4)
    assert torch.equal(line.module[1].weight, line.weights[1])
    assert not line.module.training


def test_without_a_score_all_epochs_are_trained() -> None:
    _, report, seen = train({"validated": False}, epochs=4, patience=1)
    assert (report["epoch"], report["best_score"], report["scores"]) == (4, None, [])
    assert set(seen[0].metrics) == {"loss"}


@settings(max_examples=12)
@given(
    kills=st.lists(st.integers(1, 6), max_size=3, unique=True).map(sorted), every=st.sampled_from([0, 1e9])
)
def test_a_training_killed_at_any_epochs_ends_with_the_same_weights(
    tmp_path_factory: pytest.TempPathFactory, kills: list[int], every: float
) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    expected, report, _ = train()
    for kill in kills:
        with pytest.raises(Killed):
            train(checkpoints=folder, kill_after=kill, checkpoint_seconds=every)
    weights, resumed, _ = train(checkpoints=folder)
    assert same(weights, expected)
    assert resumed["losses"] == report["losses"]
    assert resumed["scores"] == report["scores"]
    assert resumed["resumed"] == (kills[-1] if kills and (every == 0 or kills[-1] == 6) else 0)


def test_a_process_killed_between_two_epochs_is_resumed(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; sys.path[:0] = sys.argv[2:];"
        "import test_trainer as t; kill = lambda s: os.kill(os.getpid(), signal.SIGKILL);"
        "t.Killed.__init__ = kill; t.train(checkpoints=Path(sys.argv[1]), kill_after=4)"
    )
    folders = [str(Path(__file__).resolve().parent), *IMPORTABLE.split(os.pathsep)]
    process = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), *folders], check=False, env=os.environ
    )
    assert process.returncode == -signal.SIGKILL
    weights, report, _ = train(checkpoints=tmp_path)
    assert report["resumed"] == 4
    assert same(weights, train()[0])


def test_checkpoints_are_safetensors_and_json_and_only_the_latest_is_kept(tmp_path: Path) -> None:
    train(checkpoints=tmp_path, epochs=3)
    names = sorted(file.name for file in (tmp_path / "line").iterdir())
    assert names == ["checkpoint.json", "epoch-000003.safetensors"]
    content = (tmp_path / "line" / names[1]).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert {name.partition(".")[0] for name in header} == {"module", "best", "optimizer"}
    assert json.loads((tmp_path / "line" / names[0]).read_text())["state"]["epoch"] == 3


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    expected, _, _ = train(checkpoints=tmp_path)
    weights, report, seen = train(checkpoints=tmp_path)
    assert same(weights, expected)
    assert (report["resumed"], seen) == (6, [])


@pytest.mark.parametrize("change", [{"seed": 4}, {"learning_rate": 0.01}, {"epochs": 7}])
def test_the_checkpoint_of_another_training_is_not_resumed(tmp_path: Path, change: dict[str, object]) -> None:
    train(checkpoints=tmp_path)
    weights, report, _ = train(checkpoints=tmp_path, **change)  # type: ignore[arg-type]
    assert report["resumed"] == 0
    assert same(weights, train(**change)[0])  # type: ignore[arg-type]


def test_a_damaged_checkpoint_is_not_resumed(tmp_path: Path) -> None:
    expected, _, _ = train(checkpoints=tmp_path)
    file = tmp_path / "line" / "epoch-000006.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    weights, report, _ = train(checkpoints=tmp_path)
    assert report["resumed"] == 0
    assert same(weights, expected)


def test_a_partially_written_checkpoint_is_ignored(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(checkpoints=tmp_path, kill_after=2)
    (tmp_path / "line" / "epoch-000003.safetensors").write_bytes(b"half")
    (tmp_path / "line" / "checkpoint.json.partial").write_bytes(b"{")
    weights, report, _ = train(checkpoints=tmp_path)
    assert report["resumed"] == 2
    assert same(weights, train()[0])


def test_the_learning_rate_falls_along_a_cosine() -> None:
    config = TrainerConfig(epochs=4, learning_rate=0.8)
    rates = [learning_rate(config, epoch) for epoch in range(1, 5)]
    half = 0.5**0.5
    assert rates == pytest.approx([0.8, 0.4 * (1 + half), 0.4, 0.4 * (1 - half)])
    assert learning_rate(config.model_copy(update={"schedule": "constant"}), 4) == 0.8


def test_the_error_about_a_loss_that_is_not_a_number_names_epoch_and_step() -> None:
    with pytest.raises(
        ModelError, match=r"finite loss of line, got nan at epoch 2, step 3; .*0\.05 may help"
    ):
        train({"bad_update": 5})


def test_the_error_about_a_score_that_is_not_a_number_names_the_epoch() -> None:
    with pytest.raises(ModelError, match=r"validation score of line, got nan at epoch 2"):
        train({"scores": [0.5, math.nan]})


def test_a_missing_device_is_an_error_and_auto_falls_back() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert choose_device(TrainingOptions("auto")).type == "cpu"
    with pytest.raises(
        ModelError, match="expected a CUDA device for device 'cuda', got none; known: auto, cpu"
    ):
        choose_device(TrainingOptions("cuda"))
