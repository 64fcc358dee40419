"""How numba compiles here (import it late: numba takes half a second)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(signature: str | list[str]) -> Callable[[F], F]:
    """Compile for a signature when the module is imported, without the GIL.

    What is compiled is kept beside the module or in the user's cache folder, else (a read-only installation
    without a home folder) compiled again in every process. Functions that call each other belong in one file:
    a change in another file does not renew the caller.
    """

    def compile_(function: F) -> F:
        try:
            return cast("F", numba.njit(signature, nogil=True, cache=True)(function))
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            return cast("F", numba.njit(signature, nogil=True)(function))

    return compile_
