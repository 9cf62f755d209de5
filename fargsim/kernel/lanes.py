"""Several planes in one compiled run: a table of where their arrays lie, a row a plane.

Compiled code takes a plane's arrays by their type, so a run over any number of planes cannot be handed them one by one without
being compiled for each number. It is handed addresses, and makes arrays of them where it needs them: a few instructions.
The caller keeps the arrays alive, and renews a row when a plane has got other ones.
"""

from __future__ import annotations

from typing import Any, cast

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic
from numba.np import arrayobj as _arrayobj

from fargsim.kernel.layout import (
    OUTCOMES,
    PLANE,
    REQUEST,
    SLOT,
    TERMS,
    USER,
    ZONE,
    Arrays,
    Chunk,
    Ints,
)

arrayobj = cast(Any, _arrayobj)  # Numba's own modules are not typed
typeof = cast(Any, numba.typeof)
named_tuple = cast(Any, types.NamedTuple)

_ARRAYS: tuple[tuple[Any, int], ...] = (
    (PLANE, 1),
    (SLOT, 1),
    (TERMS, 1),
    (REQUEST, 1),
    (np.uint64, 2),
    (np.int32, 1),
    (np.uint64, 1),
    (np.int64, 1),
    (OUTCOMES, 1),
    (USER, 1),
    (ZONE, 1),
    (np.uint64, 2),
    (np.float64, 2),
)
_CHUNK: tuple[tuple[Any, int], ...] = (
    (np.int64, 1),
    (np.float64, 1),
    (np.float64, 1),
    (np.uint8, 1),
    (np.int64, 1),
    (np.float64, 1),
    (np.uint8, 1),
)


def _words(kinds: tuple[tuple[Any, int], ...]) -> int:
    return sum(1 + ndim for _, ndim in kinds)


CHUNK_AT = _words(_ARRAYS)
"""Where in a row the chunk begins: its arrays, then its stride."""
WIDTH = CHUNK_AT + _words(_CHUNK) + 1
"""Words of a row: an address and the shape of each array."""


def are_as_told(arrays: tuple[Any, ...]) -> bool:
    """Whether arrays are what compiled code takes them for: it would read anything else as if they were."""
    told = [(np.dtype(kind), ndim) for kind, ndim in _ARRAYS]
    return [(a.dtype, a.ndim) for a in arrays] == told and all(a.flags.c_contiguous for a in arrays)


def write_arrays(row: Ints, at: int, arrays: tuple[Any, ...]) -> int:
    """Write down where arrays lie; return the place behind."""
    for array in arrays:
        row[at] = array.ctypes.data
        row[at + 1 : at + 1 + array.ndim] = array.shape
        at += 1 + array.ndim
    return at


def write_chunk(row: Ints, chunk: Chunk) -> None:
    """Write down where a chunk lies; two-dimensional demands are one row after another."""
    at = CHUNK_AT
    for array in chunk[:-1]:
        row[at], row[at + 1] = array.ctypes.data, array.size
        at += 2
    row[at] = chunk.stride


def _made(context: Any, builder: Any, word: Any, at: int, kinds: list[Any]) -> list[Any]:
    """Build arrays of the words from a place on."""
    made = []
    for kind in kinds:
        array = arrayobj.make_array(kind)(context, builder)
        item = context.get_abi_sizeof(context.get_data_type(kind.dtype))
        shape = [word(at + 1 + d) for d in range(kind.ndim)]
        stride = context.get_constant(types.intp, item)
        strides: list[Any] = []
        for d in reversed(range(kind.ndim)):
            strides.insert(0, stride)
            stride = builder.mul(stride, shape[d])
        arrayobj.populate_array(
            array,
            data=builder.inttoptr(word(at), array.data.type),
            shape=shape,
            strides=strides,
            itemsize=context.get_constant(types.intp, item),
            meminfo=None,
        )
        made.append(array._getvalue())
        at += 1 + kind.ndim
    return made


def _types(kinds: tuple[tuple[Any, int], ...]) -> list[Any]:
    return [typeof(np.zeros((0,) * ndim, dtype)) for dtype, ndim in kinds]


def _reader(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Return what loads a word of the row that the arguments name."""
    table = arrayobj.make_array(signature.args[0])(context, builder, arguments[0])
    base = builder.mul(arguments[1], builder.extract_value(table.shape, 1))

    def word(place: int) -> Any:
        return builder.load(builder.gep(table.data, [builder.add(base, context.get_constant(types.intp, place))]))

    return word


def _arrays_of(_: Any, table: Any, lane: Any) -> Any:
    kinds = _types(_ARRAYS)
    out = named_tuple(kinds, Arrays)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = _reader(context, builder, signature, arguments)
        return context.make_tuple(builder, signature.return_type, _made(context, builder, word, 0, kinds))

    return out(table, types.int64), generate


def _chunk_of(_: Any, table: Any, lane: Any) -> Any:
    kinds = _types(_CHUNK)
    out = named_tuple([*kinds, types.int64], Chunk)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = _reader(context, builder, signature, arguments)
        made = [*_made(context, builder, word, CHUNK_AT, kinds), word(WIDTH - 1)]
        return context.make_tuple(builder, signature.return_type, made)

    return out(table, types.int64), generate


arrays_of: Any = intrinsic(_arrays_of)
"""The arrays of the plane in a row of the table."""
chunk_of: Any = intrinsic(_chunk_of)
"""The chunk of the plane in a row of the table."""
