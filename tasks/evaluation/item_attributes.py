"""The diversity of lists by the attributes of items in the catalogue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from tasks.dataset.arrays import array_of
from tasks.dataset.parts import read

if TYPE_CHECKING:
    from models.evaluation.measured import Measured

ATTRIBUTE_DIVERSITY = "attribute_diversity"


def item_attributes(dataset: Path) -> Any:
    """Return the attribute values of each item: csr (n_items, n_values), or None."""
    from scipy import sparse

    items = read(dataset, "items", ["item_id"])["item_id"].combine_chunks()
    table = read(dataset, "item_attributes", ["id", "name", "value"])
    pairs = pc.binary_join_element_wise(table["name"], table["value"].cast("string"), "\0")
    item_rows = pc.index_in(table["id"].cast(items.type), items)
    known = pc.and_(item_rows.is_valid(), pairs.is_valid())
    if not pc.any(known).as_py():
        return None
    rows = array_of(item_rows.filter(known))
    codes = pairs.filter(known).combine_chunks().dictionary_encode()
    ones = np.ones(len(rows), np.float32)
    shape = (len(items), len(codes.dictionary))
    attributes = sparse.coo_array((ones, (rows, codes.indices.to_numpy())), shape=shape).tocsr()
    attributes.sum_duplicates()
    return attributes


def add_attribute_diversity(measured: Measured, attributes: Any) -> Measured:
    """Add the mean distance, by attributes, between the items of each user's list."""
    from models.evaluation.beyond_accuracy import attribute_diversity

    if measured.items is None or attributes is None:
        return measured
    ks = sorted({k for _, k in measured.values if k > 1})  # a single item is no pair
    added = {(ATTRIBUTE_DIVERSITY, k): attribute_diversity(measured.items, k, attributes) for k in ks}
    return replace(measured, values={**measured.values, **added})
