"""Training in a child process: real children, killed, orphaned, refused, and without a GPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from worlds.dataset_world import AS_OF
from worlds.paths import IMPORTABLE
from worlds.training_world import EPOCHS, SECTIONS, VAE, arrays, trainings

from tasks.runtime.errors import TrainingError, TrainingKilledError, UserError, is_transient
from tasks.store.files import read_json, write_json_atomically
from tasks.training.child import is_cuda_failure
from tasks.training.request import read_request, write_request
from tasks.training.train import finished, train_in_child

ORPHANING = """
import sys
from datetime import date
from pathlib import Path
import psutil
from tasks.store.layout import Store
from tasks.training.train import train_in_child
from tasks.store.run_folder import RunFolder
from tasks.training.request import Training

def report(doing, done, of):
    print(psutil.Process().children()[0].pid, flush=True)
    sys.stdin.read()

as_of = date.fromisoformat(sys.argv[2])
run = RunFolder(Store(Path(sys.argv[1])), as_of, "r1")
train_in_child(Training(run, "mult_vae", "served"), report)
"""
PRETENDING = """
import sys, torch
if sys.argv[-1] != "cpu":  # the second try: an optimizer of a CUDA build looks for its GPU there too
    torch.cuda.is_available = lambda: True
    torch.cuda.current_device = lambda: 0
from tasks.training.child import main
sys.exit(main(sys.argv[1:]))
"""
LEAN = """
import sys
from tasks.training.child import main
code = main(sys.argv[1:])
sys.exit(code or sorted({"pandas", "sqlglot", "great_expectations", "torch"} & set(sys.modules)) or 0)
"""


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("model", ["als", "mult_vae", "popularity"])
def test_a_child_trains_the_same_model_to_the_last_byte(requested, undisturbed, model) -> None:
    training = requested(model)
    seen: list[tuple[str, float, float]] = []
    trained = train_in_child(training, lambda *step: seen.append(step))
    assert arrays(training) == undisturbed(model)
    assert (trained.name, trained.device, trained.warnings) == (model, "cpu", ())
    if model == "mult_vae":
        assert [done for _, done, _ in seen] == list(range(1, EPOCHS + 1))
        assert seen[0][0].startswith("mult_vae: loss ")


def test_a_training_loads_only_what_its_model_needs(requested, undisturbed) -> None:
    training = requested("als")
    train_in_child(training, command=[sys.executable, "-c", LEAN])
    assert arrays(training) == undisturbed("als")


def test_a_training_killed_in_an_epoch_resumes_from_its_checkpoint(requested, undisturbed) -> None:
    epochs: list[float] = []

    def killing(doing: str, done: float, of: float) -> None:
        if done == 4:
            for child in trainings():
                child.send_signal(signal.SIGKILL)

    training = requested("mult_vae")
    with pytest.raises(TrainingKilledError, match=r"killed by signal 9 \(out of memory\?\)") as killed:
        train_in_child(training, killing)
    assert is_transient(killed.value)
    assert finished(training) is None
    trained = train_in_child(training, lambda doing, done, of: epochs.append(done))
    assert 4 <= trained.report["resumed"] < EPOCHS
    assert epochs == list(range(trained.report["resumed"] + 1, EPOCHS + 1))
    assert arrays(training) == undisturbed("mult_vae")


def test_a_child_does_not_outlive_its_killed_parent(shop, requested) -> None:
    training = requested("mult_vae", models={"mult_vae": VAE | {"epochs": 100_000, "patience": 100_000}})
    command = [sys.executable, "-c", ORPHANING, str(shop.store.root), str(AS_OF)]
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not is_gone(child)
        parent.kill()
    until = time.monotonic() + 30
    while not is_gone(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert is_gone(child)
    assert finished(training) is None


def test_an_interrupted_parent_ends_its_child(requested) -> None:
    training = requested("mult_vae")

    def interrupt(doing: str, done: float, of: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_in_child(training, interrupt)
    assert trainings() == []


def test_a_refused_training_has_the_models_message_and_is_not_retried(requested) -> None:
    training = requested("als", models={"als": {"factor": 3}})
    with pytest.raises(TrainingError, match="model als cannot be trained: unknown key 'factor'") as refused:
        train_in_child(training)
    assert not is_transient(refused.value)


def test_missing_memory_fails_the_model_alone(requested) -> None:
    training = requested("mult_vae", models={"mult_vae": VAE | {"hidden": 2**40}})
    with pytest.raises(TrainingError, match="cannot be trained: not enough memory"):
        train_in_child(training)


def test_a_defect_says_where_its_log_is(requested) -> None:
    training = requested("als")
    (training.run.root / "elsewhere").mkdir(exist_ok=True)
    content = read_json(training.file) | {"dataset": "elsewhere"}
    write_json_atomically(training.file, content)
    with pytest.raises(TrainingError, match=r"failed by a defect, \w+: .*; its log is") as failed:
        train_in_child(training)
    log = Path(str(failed.value).rsplit(" ", 1)[1])
    assert "Traceback" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("key", ["dataset", "artefact"])
@pytest.mark.parametrize("path", ["../r2/dataset", "/etc", "models/../../r2", "link/x", "."])
def test_a_request_cannot_lead_out_of_its_run(requested, tmp_path, key, path) -> None:
    training = requested("popularity")
    link = training.run.root / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path)
    content = read_json(training.file) | {key: path}
    write_json_atomically(training.file, content)
    with pytest.raises(UserError, match="inside"):
        train_in_child(training)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_key_or_a_missing_request_is_refused(requested) -> None:
    training = requested("popularity")
    content = read_json(training.file) | {"code": "import os"}
    write_json_atomically(training.file, content)
    with pytest.raises(UserError, match="code: "):
        read_request(training.file)
    training.file.unlink()
    with pytest.raises(UserError, match="expected a training request, got none"):
        read_request(training.file)


@pytest.mark.parametrize("model", ["als", "mult_vae"])
def test_without_a_gpu_the_cpu_trains_with_a_warning(requested, undisturbed, monkeypatch, model) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    training = requested(model, train=SECTIONS["train"] | {"device": "cuda"})
    trained = train_in_child(training)
    assert trained.device == "cpu"
    assert len(trained.warnings) == 1
    assert trained.warnings[0].startswith(f"{model}: trained on cpu: CUDA failed: expected a ")
    assert arrays(training) == undisturbed(model)
    assert finished(training) == trained


def test_after_a_cuda_error_the_cpu_trains_with_a_warning(requested, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    training = requested("mult_vae")
    command = [sys.executable, "-c", PRETENDING]  # a GPU seems present; the error is torch's
    trained = train_in_child(training, command=command)
    assert trained.device == "cpu"
    assert "mult_vae: trained on cpu: CUDA failed: " in trained.warnings[0]


def test_cuda_errors_are_recognised() -> None:
    import torch

    with pytest.raises((AssertionError, RuntimeError)) as caught:
        torch.zeros(1, device="cuda:99")
    assert is_cuda_failure(caught.value)
    assert is_cuda_failure(torch.OutOfMemoryError("tried to allocate 2 GiB"))
    assert is_cuda_failure(RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"))
    assert not is_cuda_failure(RuntimeError("shapes (3,4) and (5,6) not aligned"))


def test_a_model_is_retrained_only_if_its_dataset_was_rewritten(shop, requested) -> None:
    training = requested("popularity")
    first = train_in_child(training)
    written = (first.folder / "arrays.npz").stat().st_mtime_ns
    write_request(training, shop.configuration())
    assert train_in_child(training) == first
    assert (first.folder / "arrays.npz").stat().st_mtime_ns == written
    os.utime(training.dataset / "users" / "part-0.parquet")
    write_request(training, shop.configuration())
    assert finished(training) is None
