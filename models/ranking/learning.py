"""The check that a trained model has learned something about people."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.errors import ModelError

LENGTH = 10  # of the lists that are compared
FEWEST_USERS = 20
FEWEST_ITEMS = 10 * LENGTH  # with fewer, equal lists say little


def require_learning(name: str, scores: npt.NDArray[np.float32]) -> None:
    """Refuse a model whose scores, float32 (n_users, n_items), do not tell users or items apart.

    The users have different histories. This is how a training ends whose penalties outweigh its
    data, or whose loss never fell: every score is the same, or everybody has the same list. Lists
    are compared as sets, including seen items, for at least 20 users and 100 items.

    Raises
    ------
    ModelError
        When all scores of each user are equal, or the first 10 items of all users are.
    """
    n_users, n_items = scores.shape
    if n_users and n_items > 1 and not (scores.max(axis=1) > scores.min(axis=1)).any():
        raise ModelError(f"{name} learned nothing: it gives all {n_items} items the same score")
    if n_users < FEWEST_USERS or n_items < FEWEST_ITEMS:
        return
    first = np.sort(np.argpartition(-scores, LENGTH - 1, axis=1)[:, :LENGTH], axis=1)
    if (first == first[0]).all():
        raise ModelError(
            f"{name} learned nothing about people: {n_users} users with different histories have the same "
            f"{LENGTH} items first"
        )
