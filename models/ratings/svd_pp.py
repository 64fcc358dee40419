"""SVD++: Funk SVD that also learns from which items were rated at all."""

from __future__ import annotations

from pydantic import Field

from models.ratings.funk_svd import FunkSVD, FunkSVDConfig


class SVDPlusPlusConfig(FunkSVDConfig):
    """Configuration of SVD++; the fields are those of Funk SVD."""

    learning_rate: float = Field(
        default=0.005, gt=0, le=1, description="step of gradient descent; halved if the training diverges"
    )
    regularization: float = Field(
        default=0.03, gt=0, description="penalty of each rating on the squares of its biases and vectors"
    )


class SVDPlusPlus(FunkSVD):
    """Predicts mean + b_u + b_i + q_i'(p_u + the sum of y_j over the user's n items j / sqrt(n)).

    Koren 2008, "Factorization meets the neighborhood: a multifaceted collaborative filtering model",
    equation 15. The vectors y_j (d,) of the items that a user has rated, whatever the rating, are
    learned beside those of Funk SVD; the user's own part p_u is folded in given all others.
    """

    name = "svd_pp"
    Config = SVDPlusPlusConfig
    implicit = True
