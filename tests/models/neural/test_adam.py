"""Adam does what torch's own Adam does, without loading torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import torch

from models.neural.adam import Adam

RATES = (0.1, 0.03, 0.01)
LEAN = """
import sys, torch
from models.neural.adam import Adam
weight = torch.ones(3, requires_grad=True)
optimizer = Adam([weight], 0.0)
optimizer.begin(0.1)
weight.square().sum().backward()
optimizer.step()
print("torch._dynamo" in sys.modules, weight.tolist()[0] < 1)
"""


def losses(parts: list[torch.Tensor]) -> torch.Tensor:
    used, _ = parts
    return (used - torch.tensor([1.0, 2.0])).square().sum()  # the other part never has a gradient


def test_weights_are_those_of_torch_adam_to_the_last_bit_also_after_a_restart():
    ours, theirs = ([torch.zeros(2, requires_grad=True), torch.ones(1, requires_grad=True)] for _ in "ab")
    optimizer, reference = Adam(ours, 0.5), torch.optim.Adam(theirs, weight_decay=0.5, fused=True)
    for rate in RATES:
        optimizer.begin(rate)
        losses(ours).backward()
        optimizer.step()
        restarted = Adam(ours, 0.5)
        restarted.restore(optimizer.moments())
        optimizer = restarted
        reference.param_groups[0]["lr"] = rate
        reference.zero_grad()
        losses(theirs).backward()
        reference.step()
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], torch.ones(1))
    assert list(optimizer.moments()) == [0]


def test_a_step_does_not_load_the_compiler_of_torch():
    done = subprocess.run([sys.executable, "-c", LEAN], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
