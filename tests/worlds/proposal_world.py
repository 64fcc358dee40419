"""Proposals for files in a folder, written there and loaded."""

from __future__ import annotations

from pathlib import Path

from tasks.configuration.configuration import Configuration, load
from tasks.proposal.proposal import Proposal, propose


def proposed(folder: Path, *samples: str) -> tuple[Proposal, Path]:
    """Propose a configuration for samples in a folder, and write it there."""
    proposal = propose([str(folder / sample) for sample in samples], folder, folder / ".scratch")
    config = folder / "nightshelf.toml"
    config.write_text(proposal.text, encoding="utf-8")
    return proposal, config


def configured(folder: Path, *samples: str) -> Configuration:
    proposal, config = proposed(folder, *samples)
    assert not proposal.missing, proposal.text
    return load(config)
