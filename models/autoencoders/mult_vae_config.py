"""The settings of Mult-VAE, and what follows from them without torch: batches and cost."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from models.neural.trainer_config import TrainerConfig
from models.recency.learned import AgingConfig

WHOLE_SOFTMAX: Final = 50_000  # items; of more, some are drawn
DRAWN: Final = 1_024
CHEAP_EPOCHS, CHEAP_HIDDEN, CHEAP_LATENT = 3, 32, 16  # at most, of the models that learn the half-life
LEAST_UPDATES: Final = 16
LEAST_USERS: Final = 16
"""An epoch has at least so many updates, unless a batch would have fewer than so many users."""


class MultVAEConfig(TrainerConfig, AgingConfig):
    """Configuration of Mult-VAE.

    Rate, schedule and sizes were chosen on 500 validation users of MovieLens-1M by NDCG@100, which
    varies by .005 between seeds. Batches of 500 at a constant 1e-3 with Glorot's initial weights reach .444
    after 100 epochs. Batches of 250 for 40 epochs from 3e-3 reach .453 with the cosine, .445 with
    the wider initial weights and .459 with both. Changes to the latter: rate 5e-3 .465, rate .01
    .445, dropout .3 .452, beta .5 .458. The 20 epochs were chosen on temporal splits of six logs:
    40 are surely better on one by .003, surely worse on another by .006 (docs/benchmarks.md).
    """

    epochs: int = Field(default=20, ge=1, description="most passes over the training users")
    batch_size: int = Field(default=250, ge=1, description="most users per update, fewer of few users")
    learning_rate: float = Field(default=4e-3, gt=0, description="step size of Adam")
    patience: int = Field(
        default=20,
        ge=1,
        description="epochs without a better validation score before stopping; the cosine peaks late",
    )
    hidden: int = Field(default=600, ge=1, description="width of the hidden layer of encoder and decoder")
    latent: int = Field(default=200, ge=1, description="width of the code between encoder and decoder")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="share of the input to drop in training")
    beta: float = Field(default=0.2, ge=0, description="weight of the KL term after annealing")
    anneal_share: float = Field(
        default=0.5, ge=0, le=1, description="share of all updates in which beta rises from 0"
    )
    binarise: bool = Field(default=True, description="treat every weight as 1")
    negatives: Annotated[int, Field(ge=0)] | Literal["auto"] | None = Field(
        default="auto",
        description="items drawn for the softmax of an update, beside those that its users have; auto: "
        "all items up to 50,000, else 1,024; none: all items",
    )
    validation_share: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="share of users held out for early stopping; 0 never stops early",
    )

    def cheap(self, half_life_days: float | None) -> MultVAEConfig:
        """Return the settings that try a half-life: small, few epochs, all users."""
        most = {"epochs": CHEAP_EPOCHS, "hidden": CHEAP_HIDDEN, "latent": CHEAP_LATENT}
        smaller = {name: min(getattr(self, name), value) for name, value in most.items()}
        return self.model_copy(update={"half_life_days": half_life_days, "validation_share": 0.0, **smaller})

    def drawn(self, items: int) -> int | None:
        """Return the items to draw for an update's softmax; None for the softmax of all."""
        if self.negatives == "auto":
            return None if items <= WHOLE_SOFTMAX else DRAWN
        return self.negatives

    def batch(self, users: int) -> int:
        """Return the users per update, of so many in training."""
        return min(self.batch_size, max(LEAST_USERS, users // LEAST_UPDATES))
