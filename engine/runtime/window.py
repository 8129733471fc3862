"""A copy of the windowed cells at one position, so that the cache can go back there after it has moved on.

Full-attention cells stay until they are removed; windowed ones are overwritten as the window moves. The copy is of
those alone: milliseconds, and at most the windowed layers' part of the KV cache. Of a recurrent or hybrid model it is
the state that moves on with every token (see `recurrence`).
"""

import ctypes
from dataclasses import dataclass, field
from typing import Any

import llama_cpp

from engine.errors import EngineFailed

SIDE = 1  # a sequence that no batch has: nothing but llama.cpp's own bookkeeping, it takes no memory
WINDOWED_ONLY = llama_cpp.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY


@dataclass(frozen=True, slots=True)
class Window:
    """The windowed cells of sequence 0 when it held n_tokens tokens."""

    n_tokens: int
    data: bytearray = field(repr=False)


def size_of_window(context: Any) -> int:
    """Bytes of a copy."""
    return int(llama_cpp.llama_state_seq_get_size_ext(context, 0, WINDOWED_ONLY))


def take_window(context: Any, n_tokens: int) -> Window:
    """Copies the windowed cells as they are now. Raises EngineFailed when llama.cpp gives none."""
    size = size_of_window(context)
    data = bytearray(size)
    buffer = (ctypes.c_uint8 * size).from_buffer(data)
    if llama_cpp.llama_state_seq_get_data_ext(context, buffer, size, 0, WINDOWED_ONLY) != size:
        raise EngineFailed("llama.cpp did not give the windowed part of its KV cache.")
    return Window(n_tokens, data)


def put_window(context: Any, window: Window) -> bool:
    """Puts a copy back; False when llama.cpp refuses it: what is there is then not to be trusted."""
    size = len(window.data)
    buffer = (ctypes.c_uint8 * size).from_buffer(window.data)
    return bool(llama_cpp.llama_state_seq_set_data_ext(context, buffer, size, 0, WINDOWED_ONLY) == size)
