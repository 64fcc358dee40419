"""Options of a training are checked where they are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import ModelError
from models.options import TrainingOptions, checked_options, checked_threads


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "gpu"}, "expected a device of auto, cpu, cuda, got 'gpu'"),
        ({"device": ["cpu"]}, r"expected a device of auto, cpu, cuda, got \['cpu'\]"),
        *(
            ({"seed": seed}, "expected a seed from 0 to 4294967295, got ")
            for seed in (-1, 2**32, "1", 1.5, None, True)
        ),
        *(
            ({"threads": threads}, "expected threads as a whole number of 0 or more, got ")
            for threads in (-3, "2", 1.5, None, True)
        ),
        ({"checkpoints": 5}, "expected checkpoints as a folder, got 5"),
        ({"progress": 5}, "expected progress as a function, got 5"),
    ],
)
def test_options_of_another_kind_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        TrainingOptions(**arguments)


def test_whole_numbers_of_numpy_and_folders_as_text_are_taken() -> None:
    options = TrainingOptions(seed=np.int64(2**32 - 1), threads=np.int32(2), checkpoints="states")  # type: ignore[arg-type]
    assert (options.seed, options.threads, options.checkpoints) == (2**32 - 1, 2, Path("states"))
    assert type(options.seed) is int
    assert checked_threads(np.int64(3)) == 3


@pytest.mark.parametrize("options", [{"seed": 1}, 5, "x"])
def test_only_training_options_are_options(options: Any) -> None:
    with pytest.raises(ModelError, match=r"expected options as TrainingOptions\(seed=1, \.\.\.\), got a "):
        checked_options(options)
    assert checked_options(None) == TrainingOptions()
