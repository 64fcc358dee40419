"""The settings of every torch model, without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.base import ModelConfig


class TrainerConfig(ModelConfig):
    """The fields of every torch model's configuration; models can redefine their defaults."""

    epochs: int = Field(default=100, ge=1, description="most passes over the training users")
    batch_size: int = Field(default=500, ge=1, description="users per update")
    learning_rate: float = Field(default=1e-3, gt=0, description="step size of Adam")
    schedule: Literal["constant", "cosine"] = Field(
        default="cosine",
        description="learning rate over the epochs: constant, or a cosine that falls to 0",
    )
    weight_decay: float = Field(
        default=0.0, ge=0, description="L2 penalty on all weights, added to the gradient"
    )
    patience: int = Field(
        default=10, ge=1, description="epochs without a better validation score before stopping"
    )
    mixed_precision: bool = Field(default=False, description="compute in bfloat16 where safe; CUDA only")
    checkpoint_seconds: float = Field(
        default=60.0, ge=0, description="time between checkpoints; 0: one after every epoch"
    )
