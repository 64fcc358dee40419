"""Device, threads and random generators of a training; the process's settings are restored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch

from models.errors import DeviceMissingError
from models.options import TrainingOptions


def choose_device(options: TrainingOptions) -> torch.device:
    """Return the device to train on; "auto" is CUDA if available, else the CPU.

    Raises
    ------
    DeviceMissingError
        When "cuda" is requested and not available.
    """
    available = torch.cuda.is_available()
    if options.device == "cuda" and not available:
        raise DeviceMissingError("expected a CUDA device for device 'cuda', got none; known: auto, cpu")
    return torch.device("cuda" if available and options.device != "cpu" else "cpu")


@contextlib.contextmanager
def torch_threads(threads: int, device: torch.device | None = None) -> Iterator[None]:
    """Use ``threads`` threads; restore their number and torch's global generators afterwards."""
    before = torch.get_num_threads()
    devices = [torch.cuda.current_device()] if device is not None and device.type == "cuda" else []
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.set_num_threads(before)


def epoch_generator(seed: int, epoch: int, device: torch.device) -> torch.Generator:
    """Return the generator of an epoch (0: initial weights), and seed torch's global ones alike."""
    epoch_seed = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    torch.manual_seed(epoch_seed)
    return torch.Generator(device).manual_seed(epoch_seed)
