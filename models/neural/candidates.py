"""The items that compete in a batch's softmax where the catalogue is too large for all to do so.

Jean, Cho, Memisevic and Bengio, "On Using Very Large Target Vocabulary for Neural Machine
Translation" (ACL 2015), estimate the sum of the softmax (their eq. 8) from items that all rows of a
batch share, each corrected by its chance. Yi et al., "Sampling-bias-corrected neural modeling for
large corpus item recommendations" (RecSys 2019), subtract the logarithm of the chance from the
logit (section 4.1, eq. 3) and take the other rows' items; Yang et al., "Mixed Negative Sampling"
(WWW 2020), add items drawn evenly. So is it done here, with the chance that an item is among the
candidates at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import gammaln

from models.neural.layers import Bags


@dataclass(frozen=True)
class Candidates:
    """Distinct ``items`` int64 (n,), ascending: all that a batch has, and others drawn evenly.

    ``log_chances`` float32 (n,): the logarithm of the chance that an item is among them, for a row
    that does not have it. The sum over the candidates of exp(logit) / chance, with a chance of 1
    for the row's own items, then has the expectation sum_i exp(logit_i) over all items (Horvitz and
    Thompson 1952).
    """

    items: torch.Tensor
    log_chances: torch.Tensor

    @classmethod
    def draw(
        cls, bags: Bags, counts: npt.NDArray[np.int64], users: int, drawn: int, draw: np.random.Generator
    ) -> Candidates:
        """Return the candidates of a batch drawn evenly from ``users`` users.

        ``counts`` int64 (n_items,): how many of all users have an item. ``drawn`` of all items are
        drawn, without replacement.
        """
        more = draw.choice(len(counts), min(drawn, len(counts)), replace=False, shuffle=False)
        items = np.union1d(bags.items.cpu().numpy(), more)
        missed = chance_of_none(counts[items], users - 1, len(bags) - 1) * (1 - len(more) / len(counts))
        chances = torch.from_numpy(np.log1p(-missed).astype(np.float32))
        device = bags.items.device
        return cls(torch.from_numpy(items).to(device), chances.to(device))

    def numbered(self, bags: Bags) -> Bags:
        """Return bags whose items are their numbers among the candidates."""
        return Bags(torch.searchsorted(self.items, bags.items), bags.values, bags.offsets)


def chance_of_none(counts: npt.NDArray[np.int64], users: int, drawn: int) -> npt.NDArray[np.float64]:
    """Return the chance that none of ``drawn`` of ``users`` users is one of ``counts`` (n,) of them.

    It is hypergeometric, C(users - count, drawn) / C(users, drawn).
    """
    others = users - counts
    possible = others >= drawn
    others = np.where(possible, others, drawn)
    logs = gammaln(others + 1) - gammaln(others - drawn + 1)
    logs -= gammaln(users + 1) - gammaln(users - drawn + 1)
    return np.where(possible, np.exp(np.minimum(logs, 0.0)), 0.0)
