"""The first and the last layer of an autoencoder of items, computed and updated in parts of items.

The backward pass of a layer updates the weights of a part as soon as it has their gradient, which
is thus still in the processor's cache, and never held for all items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from models.neural.candidates import Candidates
from models.neural.layers import Bags, bag_product
from models.neural.parts import Parts
from models.neural.row_adam import RowAdam

LEAST_USERS = 32  # of a part of a batch
COPIED = 20  # a row that is copied out of a layer and back takes as long as so many in their order


@dataclass(frozen=True)
class InputLayer:
    """The product of sparse rows and a weight (I, d); only rows of items with an entry are touched."""

    weight: RowAdam
    parts: Parts

    def product(self, bags: Bags, parameter: torch.nn.Parameter) -> torch.Tensor:
        """Return the product (n_rows, d); its backward pass updates the ``parameter`` of the layer."""
        result: torch.Tensor = _Product.apply(parameter, self, bags)  # type: ignore[no-untyped-call]
        return result

    def forward(self, bags: Bags) -> torch.Tensor:
        """Return the product, after the missed updates of its rows."""
        items, _ = bags.by_item
        self.parts.map(lambda part: self.weight.prepare(items[part]), len(items))
        weight = self.weight.weight
        products = self.parts.map(lambda part: bag_product(bags.part(part), weight), len(bags), LEAST_USERS)
        return torch.cat(products)

    def backward(self, bags: Bags, upstream: torch.Tensor) -> None:
        """Update the weight, given the gradient of the product."""
        items, entries = bags.by_item
        n_items = len(self.weight.weight)

        def update(part: slice) -> None:
            self.weight.update(items[part], bag_product(entries.part(part), upstream))

        def update_all(part: slice) -> None:
            every = torch.arange(part.start, part.stop, device=items.device)
            self.weight.prepare(every)
            first, last = torch.searchsorted(
                items, every[[0, -1]] + torch.tensor([0, 1], device=items.device)
            ).tolist()
            gradient = torch.zeros_like(self.weight.weight[part])
            touched = bag_product(entries.part(slice(first, last)), upstream)
            gradient[items[first:last] - part.start] = touched
            self.weight.update(part, gradient)

        if COPIED * len(items) < n_items:
            self.parts.map(update, len(items))
        else:
            self.parts.map(update_all, n_items)


@dataclass(frozen=True)
class OutputLayer:
    """The multinomial likelihood (eq. 2) of the logits h W' + b, with W (I, d) and b (I,)."""

    weight: RowAdam
    bias: RowAdam
    parts: Parts

    def negative_log_likelihood(
        self, hidden: torch.Tensor, bags: Bags, candidates: Candidates | None = None
    ) -> torch.Tensor:
        """Return -sum_i x_i log softmax(logits)_i, averaged over the rows, up to a constant.

        ``hidden`` (batch, d) are the rows h, ``bags`` the x. With ``candidates``, the softmax is
        estimated, and only their rows of W and b are touched. The backward pass updates W and b,
        and takes one array (batch, I) or (batch, candidates).
        """
        if candidates is not None:
            bags = candidates.numbered(bags)
        args = (hidden.float(), self, bags, candidates)
        result: torch.Tensor = _Likelihood.apply(*args)  # type: ignore[no-untyped-call]
        return result


@dataclass(frozen=True)
class _Part:
    """A part of the layer's rows, its logits (batch, n), and the x of its entries: row, column, value.

    ``weight`` (n, d) is that before the update.
    """

    rows: slice | torch.Tensor
    weight: torch.Tensor
    logits: torch.Tensor
    entries: tuple[torch.Tensor, torch.Tensor, torch.Tensor]

    @classmethod
    def of(
        cls, layer: OutputLayer, part: slice, hidden: torch.Tensor, bags: Bags, candidates: Candidates | None
    ) -> _Part:
        bounds = torch.tensor([part.start, part.stop], device=hidden.device)
        start, stop = torch.searchsorted(bags.items[bags.order], bounds).tolist()
        here = bags.order[start:stop]
        rows, columns, values = bags.rows[here], bags.items[here] - part.start, bags.values[here]
        chosen: slice | torch.Tensor = part
        if candidates is not None:
            chosen = candidates.items[part]
            layer.weight.prepare(chosen)
            layer.bias.prepare(chosen)
        weight = layer.weight.weight[chosen]
        logits = torch.addmm(layer.bias.weight[chosen], hidden, weight.T).float()
        if candidates is not None:  # the own items of a row are certain
            logits -= candidates.log_chances[part]
            logits[rows, columns] += candidates.log_chances[part][columns]
        return cls(chosen, weight, logits, (rows, columns, values))

    def log_sums(self) -> torch.Tensor:
        """Return log sum_i exp(logit_i) of the part (batch,)."""
        return torch.logsumexp(self.logits, dim=1)

    def explained(self) -> torch.Tensor:
        """Return the sum of x_i logit_i."""
        rows, columns, values = self.entries
        return (self.logits[rows, columns] * values).sum()

    def gradient(self, log_sums: torch.Tensor, totals: torch.Tensor, scale: float) -> torch.Tensor:
        """Return (totals * softmax - x) * scale (batch, n) in the place of the logits."""
        rows, columns, values = self.entries
        result = self.logits.sub_(log_sums[:, None]).exp_().mul_(scale * totals[:, None])
        result[rows, columns] -= scale * values
        return result


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, _: torch.Tensor, layer: InputLayer, bags: Bags) -> torch.Tensor:
        ctx.layer, ctx.bags = layer, bags
        return layer.forward(bags)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[None, None, None]:
        ctx.layer.backward(ctx.bags, upstream)
        return None, None, None


class _Likelihood(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, layer: OutputLayer, bags: Bags, candidates: Candidates | None
    ) -> torch.Tensor:
        fixed = hidden.detach()  # no thread of the parts shall record operations
        count = len(layer.weight.weight if candidates is None else candidates.items)
        parts = layer.parts.map(lambda part: _Part.of(layer, part, fixed, bags, candidates), count)
        log_sums = torch.logsumexp(torch.stack([part.log_sums() for part in parts]), dim=0)
        totals = torch.zeros_like(log_sums).index_add(0, bags.rows, bags.values)
        explained = torch.stack([part.explained() for part in parts]).sum()
        rows = slice(0, count) if candidates is None else candidates.items
        ctx.saved = layer, fixed, rows, parts, log_sums, totals
        loss: torch.Tensor = ((totals * log_sums).sum() - explained) / len(bags)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        layer, hidden, rows, parts, log_sums, totals = ctx.saved
        del ctx.saved
        scale = float(upstream) / len(hidden)

        def update(numbers: slice) -> tuple[torch.Tensor, torch.Tensor]:
            (part,) = parts[numbers]
            gradient = part.gradient(log_sums, totals, scale)
            result = gradient @ part.weight
            layer.weight.update(part.rows, gradient.T @ hidden)
            return result, gradient.sum(0)

        results, biases = zip(*layer.parts.map(update, len(parts), least=1), strict=True)
        layer.bias.update(rows, torch.cat(biases))
        total: torch.Tensor = results[0]
        for other in results[1:]:
            total += other
        return total, None, None, None
