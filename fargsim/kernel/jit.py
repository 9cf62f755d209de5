"""Numba's decorator with the plane's flags and types, and the key of the compiled code's cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., object])

_njit = cast(Any, numba.njit)  # its stub does not know `_nrt`
# Nothing is allocated inside and the caller holds every array, so no reference is counted: counting them, an atomic
# call for every use of an array, made the plane thirteen times slower. IEEE arithmetic as written: no fastmath.
FLAGS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}


def jit(function: F) -> F:
    """Compile a part of the plane."""
    return cast(F, _njit(**FLAGS)(function))


def inlined(function: F) -> F:
    """Compile a small part that runs for each event into its callers."""
    return cast(F, _njit(**FLAGS, forceinline=True)(function))


def entry(function: F) -> F:
    """Compile a way into the plane and keep the machine code on disk."""
    return cast(F, _njit(**FLAGS, cache=True)(function))


def _trailing_zeros(_: Any, word: Any) -> Any:
    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero_is_undefined = ir.Constant(ir.IntType(1), 1)
        return builder.cttz(arguments[0], zero_is_undefined)

    return types.int64(types.uint64), generate


trailing_zeros = cast(Callable[[np.uint64], int], intrinsic(_trailing_zeros))
"""How many zeros an unsigned word ends in, for a word that is not zero: one instruction that Python has no word for."""


def source_digest() -> int:
    """Return a number that changes with any source file of this room.

    Numba's cache looks at one file only, so code called from another file would go stale. An entry that closes
    over this number is compiled afresh when any of them changes: free variables are part of the cache's key.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:6], "big")
