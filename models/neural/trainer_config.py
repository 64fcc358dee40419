"""The settings of every torch model, without torch."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from models.base import ModelConfig

FEWEST_USERS: Final = 50  # with fewer, the validation score is noise: train on all users
MOST_USERS: Final = 2000  # these give the score to .005; more only cost time
MOST_SCORES: Final = 10**8  # so that validation takes less time than training, in large catalogues too


def validation_count(users: int, items: int, share: float) -> int:
    """Return how many users to hold out: ``share`` of ``users``, at most 2,000; 0 if below 50.

    In catalogues of more than 50,000 items, they are at most 10^8 / ``items``.
    """
    count = min(int(share * users), MOST_USERS, max(FEWEST_USERS, MOST_SCORES // items))
    return count if count >= FEWEST_USERS else 0


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
