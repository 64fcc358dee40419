"""A small shop whose models children train, and what those children are."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psutil

from tasks.training.request import Training

EPOCHS = 120  # enough that the kill always comes long before the end
VAE = {"hidden": 8, "latent": 4, "epochs": EPOCHS, "patience": EPOCHS, "checkpoint_seconds": 0.0}
SECTIONS: dict[str, Any] = {
    "engine": {"threads": 1},
    "train": {"models": ["als", "mult_vae", "popularity"]},
    "models": {"als": {"factors": 4, "iterations": 2}, "mult_vae": VAE},
}


def arrays(training: Training) -> bytes:
    return (training.artefact / "arrays.npz").read_bytes()


def trainings() -> list[psutil.Process]:
    """Return the children that train; the tests may have others, such as servers and Java.

    One that was killed trains nothing, also before its parent knows.
    """
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.ZombieProcess):
            if "tasks.training.child" in child.cmdline():
                found.append(child)
    return found
