"""One child for many trainings: equal models, and a new child after a failure."""

from __future__ import annotations

import signal

import pytest
from worlds.training_world import arrays, trainings

from tasks.runtime.errors import TrainingError, TrainingKilledError
from tasks.runtime.progress import silent
from tasks.store.files import read_json, write_json_atomically
from tasks.training.request import result_file
from tasks.training.train import finished, one_child


def test_one_child_trains_several_models_to_the_last_byte_and_logs_each_apart(requested, undisturbed) -> None:
    first, second = requested("als"), requested("popularity")
    with one_child() as train_next:
        train_next(first, silent)
        [child] = trainings()
        train_next(second, silent)
        assert trainings() == [child]
        assert train_next(second, silent) == finished(second)
    assert trainings() == []
    assert (arrays(first), arrays(second)) == (undisturbed("als"), undisturbed("popularity"))
    assert read_json(result_file(second.file))["peak_memory"] > 2**20


def test_a_failed_or_killed_training_costs_the_next_one_a_new_child(requested, undisturbed) -> None:
    def killing(doing: str, done: float, of: float) -> None:
        for child in trainings():
            child.send_signal(signal.SIGKILL)

    with one_child() as train_next:
        train_next(requested("popularity"), silent)
        with pytest.raises(TrainingKilledError, match=r"mult_vae: the training was killed by signal 9"):
            train_next(requested("mult_vae"), killing)
        assert trainings() == []
        with pytest.raises(TrainingError, match="model als cannot be trained: unknown key 'factor'"):
            train_next(requested("als", models={"als": {"factor": 3}}), silent)
        assert trainings() == []
        defect = requested("als")
        content = read_json(defect.file) | {"dataset": "elsewhere"}
        write_json_atomically(defect.file, content)
        with pytest.raises(TrainingError, match=r"failed by a defect, \w+: .*; its log is"):
            train_next(defect, silent)
        assert "Traceback" in (defect.file.parent / "als.log").read_text(encoding="utf-8")
        training = requested("popularity")
        train_next(training, silent)
    assert arrays(training) == undisturbed("popularity")


def test_an_idle_child_that_was_killed_is_replaced(requested) -> None:
    with one_child() as train_next:
        train_next(requested("popularity"), silent)
        [child] = trainings()
        child.kill()
        child.wait()
        train_next(requested("als"), silent)
        assert child not in trainings()


def test_a_child_that_holds_much_of_the_memory_is_not_kept(requested) -> None:
    training = requested("popularity", engine={"threads": 1, "memory": "256MiB"})
    with one_child() as train_next:
        train_next(training, silent)
        assert trainings() == []
    assert finished(training)
