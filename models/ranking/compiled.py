"""Compilation with numba (import it late: numba takes half a second)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


REORDERED: Final[set[str]] = {"reassoc", "contract"}  # not nnan or ninf: an overflow must remain visible


def compiled(signature: str | list[str], *, reorder: bool = False) -> Callable[[F], F]:
    """Compile for a signature when the module is imported, without the GIL.

    With ``reorder``, the compiler may change the order of sums to use vector instructions. It does
    so once, so equal inputs still give equal bytes on a machine.

    The result is cached beside the module or in the user's cache folder. Without either (a
    read-only installation and no home folder), every process compiles again. Functions that call
    each other belong in one file, because a change in another file does not invalidate the caller's
    cache.
    """
    fastmath: bool | set[str] = REORDERED if reorder else False

    def compile_(function: F) -> F:
        try:
            return cast("F", numba.njit(signature, nogil=True, cache=True, fastmath=fastmath)(function))
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            return cast("F", numba.njit(signature, nogil=True, fastmath=fastmath)(function))

    return compile_
