"""The compiled part of top-N that scores whole rows again in float64 (import it late: numba).

Where thousands of items are nearly tied, scoring one item of one user at a time costs ten times as
much as the matrix product. Here four users share each load and conversion of an item's vector, and
the eight strands of a sum are one vector of the processor. LLVM does not find this form by itself,
so it is written in LLVM's own instructions. Bits are the same as those of ``_dot`` in
``topn_kernel.py``: the order of the sums is the same, and a fused multiplication and addition
changes nothing, because products of float32 are exact in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from models.ranking.compiled import compiled

USERS = 4  # per tile: their sums fit the registers
TILE = 256  # items, whose vectors stay in the processor's cache while all users pass
STRANDS = 8
INT32, INT64, FLOAT, DOUBLE = ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.DoubleType()
FLOATS, DOUBLES = ir.VectorType(FLOAT, STRANDS), ir.VectorType(DOUBLE, STRANDS)


@intrinsic
def _four_scores(  # noqa: PLR0917
    _: Any, users: Any, first: Any, vectors: Any, item: Any, scores: Any, at: Any
) -> Any:
    """Write to ``scores[at]`` the scores of ``item`` for the users from ``first`` on."""

    def generate(context: Any, build: ir.IRBuilder, signature: Any, values: Any) -> Any:
        arrays = {
            i: context.make_array(signature.args[i])(context, build, values[i]) for i in (0, 2, 4)
        }  # fmt: skip
        width = build.extract_value(arrays[2].shape, 1)
        vector = build.gep(arrays[2].data, [build.mul(values[3], width)])
        rows = [build.add(values[1], INT64(row)) for row in range(USERS)]
        starts = [build.gep(arrays[0].data, [build.mul(row, width)]) for row in rows]
        sums = [_eight_zeros(build) for _ in rows]
        whole = build.and_(width, INT64(-STRANDS))
        with cgutils.for_range_slice(build, INT64(0), whole, INT64(STRANDS), inc=True) as (k, _):
            y = build.fpext(_load(build, vector, k, FLOATS, 4), DOUBLES)
            for start, total in zip(starts, sums, strict=True):
                x = _load(build, start, k, DOUBLES, 8)
                build.store(_add_product(build, build.load(total), x, y), total)
        with cgutils.for_range_slice(build, whole, width, INT64(1), inc=True) as (k, _):
            y = build.fpext(_load(build, vector, k, FLOAT, 4), DOUBLE)
            for start, total in zip(starts, sums, strict=True):
                strands = build.load(total)
                s0 = build.extract_element(strands, INT32(0))
                s0 = _add_product(build, s0, _load(build, start, k, DOUBLE, 8), y)
                build.store(build.insert_element(strands, s0, INT32(0)), total)
        four = build.fptrunc(_sum(build, [build.load(total) for total in sums]), ir.VectorType(FLOAT, USERS))
        place = build.gep(arrays[4].data, [build.mul(values[5], INT64(USERS))])
        build.store(four, build.bitcast(place, four.type.as_pointer())).align = 4
        return context.get_dummy_value()

    return types.void(users, first, vectors, item, scores, at), generate


def _eight_zeros(build: ir.IRBuilder) -> Any:
    """Return a variable of strands, all 0."""
    zeros = ir.Constant(DOUBLES, [0.0] * STRANDS)
    return cgutils.alloca_once_value(build, zeros)  # type: ignore[no-untyped-call]


def _load(build: ir.IRBuilder, start: Any, k: Any, kind: ir.Type, align: int) -> Any:
    value = build.load(build.bitcast(build.gep(start, [k]), kind.as_pointer()))
    value.align = align
    return value


def _add_product(build: ir.IRBuilder, total: Any, x: Any, y: Any) -> Any:
    """Return total + x * y, fused or not."""
    return build.fadd(total, build.fmul(x, y, flags=("contract",)), flags=("contract",))


def _sum(build: ir.IRBuilder, users: list[Any]) -> Any:
    """Return ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7)) for each of the four users."""
    halves = [_pairs(build, s, s, (0, 1, 2, 3), (4, 5, 6, 7)) for s in users]
    a, b, c, d = halves  # s0 + s4, s1 + s5, s2 + s6, s3 + s7 of a user
    ab, cd = _pairs(build, a, b, (0, 4, 2, 6), (1, 5, 3, 7)), _pairs(build, c, d, (0, 4, 2, 6), (1, 5, 3, 7))
    return _pairs(build, ab, cd, (0, 1, 4, 5), (2, 3, 6, 7))


def _pairs(build: ir.IRBuilder, x: Any, y: Any, left: tuple[int, ...], right: tuple[int, ...]) -> Any:
    """Return the sums of the elements ``left`` and ``right`` of the vector x, y."""
    sides = [ir.Constant(ir.VectorType(INT32, len(side)), list(side)) for side in (left, right)]
    return build.fadd(*(build.shuffle_vector(x, y, side) for side in sides))


@compiled("void(float32[:, ::1], int64[::1], float64[:, ::1], float32[:, ::1])")
def rescore_rows(
    scores: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    users: npt.NDArray[np.float64],
    vectors: npt.NDArray[np.float32],
) -> None:
    """Replace ``scores[rows]`` by the products of ``users`` and ``vectors``; masked ones stay.

    ``scores`` float32 (n_rows, n_items); ``users`` float64 (len(rows), d), with float32 values;
    ``vectors`` float32 (n_items, d). The number of rows is a multiple of ``USERS``; a row may be
    repeated.
    """
    tile = np.empty((TILE, USERS), np.float32)
    for start in range(0, len(vectors), TILE):
        stop = min(len(vectors), start + TILE)
        for first in range(0, len(rows), USERS):
            for item in range(start, stop):
                _four_scores(users, first, vectors, item, tile, item - start)  # type: ignore[call-arg]
            for user in range(USERS):
                row = scores[rows[first + user], start:stop]
                for i in range(len(row)):
                    row[i] = tile[i, user] if row[i] > -np.inf else row[i]
