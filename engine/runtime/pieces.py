"""The bytes that a token stands for, however many there are."""

import ctypes
from typing import Any

import llama_cpp

_ROOM = 256  # that nearly all tokens fit into


def piece_of(vocab: Any, token: int, *, special: bool) -> bytes:
    """A token's bytes; b'' for one that is no text. special: those of control tokens too."""
    room = _ROOM
    while True:
        buffer = ctypes.create_string_buffer(room)
        n_bytes = llama_cpp.llama_token_to_piece(vocab, token, buffer, room, 0, special)
        if n_bytes >= 0:
            return buffer.raw[:n_bytes]
        if -n_bytes <= room:  # it asks for no more, and still does not take this
            return b""
        room = -n_bytes
