"""Cells of a KV cache as llama.cpp writes them out: what such a copy says of itself, and copies of blank cells.

Nothing here needs llama.cpp; where cells go is left to `slots`.
"""

import contextlib
import mmap
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

# the buffer call wants these 8 bytes before a state, which the file call leaves out: magic, sequence
STATE_HEAD = struct.Struct("<Ii")
STATE_MAGIC = 0xAF143CD8
# llama.cpp 0c1e57098, state_write of llama_kv_cache: streams and cells; a cell's position, the number of its sequences
# and the one; whether V is transposed, and layers; then K by layer and V by layer, each with 12 bytes that say how long
# a cell's row is
_COUNTS = struct.Struct("<II")
_TABLE = STATE_HEAD.size + _COUNTS.size
_CELL_INTS = 3
_LAYERS = struct.Struct("<II")
_ROWS = struct.Struct("<iQ")
_COLUMNS = struct.Struct("<iII")  # of a V that is transposed
_MADV_POPULATE_READ = 22  # linux/mman.h


@dataclass(frozen=True, slots=True)
class Layers:
    """How the K and V of a cell are written, layer by layer: 12 bytes before them, and the bytes of a cell."""

    head: bytes
    parts: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class Cells:
    """What a copy of windowed cells says of itself: their positions in the order of their slots."""

    positions: npt.NDArray[np.int32]
    layers: Layers


def cells_of(data: Any, offset: int, size: int) -> Cells | None:
    """Reads a copy of windowed cells; None where it is written in a way that is not known here, or holds none."""
    try:
        n_streams, n_cells = _COUNTS.unpack_from(data, offset + STATE_HEAD.size)
        at = offset + _TABLE + 4 * _CELL_INTS * n_cells
        if n_streams != 1 or not n_cells or at > offset + size:
            return None
        table = np.frombuffer(data, "<i4", _CELL_INTS * n_cells, offset + _TABLE).reshape(n_cells, _CELL_INTS)
        n_sequences, positions = table[:, 1].copy(), table[:, 0].copy()
        del table  # or a map could not be closed
        head = bytes(data[at : at + _LAYERS.size])
        is_transposed, n_layers = _LAYERS.unpack(head)
        at += _LAYERS.size
        parts: list[tuple[bytes, int]] = []
        while at < offset + size:
            part = bytes(data[at : at + _ROWS.size])
            if is_transposed and len(parts) >= n_layers:
                _, n_bytes, n_rows = _COLUMNS.unpack(part)
                parts.append((part, n_bytes * n_rows))
            else:
                parts.append((part, _ROWS.unpack(part)[1]))
            at += _ROWS.size + n_cells * parts[-1][1]
    except struct.error:
        return None
    is_whole = at == offset + size and n_layers <= len(parts) <= 2 * n_layers and (n_sequences == 1).all()
    return Cells(positions, Layers(head, tuple(parts))) if is_whole else None


def blank(layers: Layers, positions: npt.NDArray[np.int64]) -> Any:
    """A copy of cells for these positions, all zeros; on Linux it takes hardly any memory."""
    n_cells = len(positions)
    table = _TABLE + 4 * _CELL_INTS * n_cells
    at = table + _LAYERS.size
    starts = [at]
    for _, n_bytes in layers.parts:
        starts.append(starts[-1] + _ROWS.size + n_cells * n_bytes)
    data = _zeros(starts[-1], [range(start + _ROWS.size, end) for start, end in pairwise(starts)])
    data[:_TABLE] = STATE_HEAD.pack(STATE_MAGIC, 0) + _COUNTS.pack(1, n_cells)
    cells = np.zeros((n_cells, _CELL_INTS), dtype="<i4")
    cells[:, 0], cells[:, 1] = positions, 1
    data[_TABLE:table] = cells.tobytes()
    data[table:at] = layers.head
    for start, (head, _) in zip(starts, layers.parts, strict=False):
        data[start : start + _ROWS.size] = head
    return data


def _zeros(size: int, untouched: Iterable[range]) -> Any:
    """Zeros to be read: on Linux memory is taken only where something is written."""
    if sys.platform != "linux":
        return bytearray(size)
    zeros = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # an older kernel, or one that has no huge pages: it takes longer
        for part in untouched:
            start = -(-part.start // mmap.PAGESIZE) * mmap.PAGESIZE
            if start < part.stop:
                zeros.madvise(mmap.MADV_HUGEPAGE, start, (part.stop - start) // mmap.PAGESIZE * mmap.PAGESIZE)
        zeros.madvise(_MADV_POPULATE_READ)
    return zeros
