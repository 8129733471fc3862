"""A sequence's KV state on disk: writing it, and reading it back without trusting it.

llama_state_seq_load_file aborts the process on a short file, so the file is mapped and handed to the buffer call, which
returns 0 instead, and only after its checksum was found right. What a file belongs to (model, KV type) is the caller's
to check; that it holds the ids that it says is checked here.
"""

import contextlib
import ctypes
import mmap
import os
import struct
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from xxhash import xxh3_128_digest

from engine.tokens.encode import Ids

_FILE_HEAD = struct.Struct("<III")  # magic, version, number of token ids; the ids follow, then the state
# the buffer call wants these 8 bytes before the state, which the file call leaves out (llama.cpp 0c1e57098)
_STATE_HEAD = struct.Struct("<Ii")
_STATE_MAGIC = 0xAF143CD8
# llama.cpp loads flipped bytes without a word: behind its state stand our mark and the xxh3 of all before it
_SEAL = b"longdesk-kv-state-1\n"
_SEAL_BYTES = len(_SEAL) + 16


def save_state(context: Any, ids: Ids, path: Path) -> int:
    """Writes sequence 0 and its ids beside `path`, syncs it and renames it in; bytes written. Raises OSError.

    The file call streams a layer at a time, so no second copy of the cache stands in memory. A checksum goes behind it.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    tokens = (llama_cpp.llama_token * len(ids)).from_buffer_copy(ids.astype(np.int32).tobytes())
    try:
        beside.touch(mode=0o600)
        if not llama_cpp.llama_state_seq_save_file(context, os.fsencode(beside), 0, tokens, len(ids)):
            raise OSError("llama.cpp could not write the KV state")
        with beside.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            digest = xxh3_128_digest(view)
            file.seek(0, os.SEEK_END)
            file.write(_SEAL + digest)
            file.flush()
            os.fsync(file.fileno())
        n_bytes = beside.stat().st_size
        os.replace(beside, path)
        return n_bytes
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


def read_state_ids(path: Path) -> Ids | None:
    """The ids that a state file says it holds; None when it is no such file or ends inside them."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        head = file.read(_FILE_HEAD.size)
        if len(head) == _FILE_HEAD.size:
            magic, version, n_ids = _FILE_HEAD.unpack(head)
            known = (llama_cpp.LLAMA_STATE_SEQ_MAGIC, llama_cpp.LLAMA_STATE_SEQ_VERSION)
            room = (path.stat().st_size - _FILE_HEAD.size) // 4
            if (magic, version) == known and 0 < n_ids <= room:
                return np.fromfile(file, dtype="<i4", count=n_ids)
    return None


def load_state(context: Any, path: Path, n_ids: int) -> bool:
    """Fills sequence 0 from a state file of n_ids ids. False when llama.cpp refuses it; the cache is then empty."""
    memory = llama_cpp.llama_get_memory(context)
    llama_cpp.llama_memory_clear(memory, True)
    start = _FILE_HEAD.size + 4 * n_ids - _STATE_HEAD.size  # over the last two ids, in our private copy of that page
    if start < 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as view:
        end = len(view) - _SEAL_BYTES
        if end <= start + _STATE_HEAD.size or not _is_whole(view, end):
            return False
        view[start : start + _STATE_HEAD.size] = _STATE_HEAD.pack(_STATE_MAGIC, 0)
        size = end - start
        buffer = (ctypes.c_uint8 * size).from_buffer(view, start)
        try:
            n_read = llama_cpp.llama_state_seq_set_data_ext(context, buffer, size, 0, 0)
        finally:
            del buffer  # or the map could not be closed
    if n_read != size:
        llama_cpp.llama_memory_clear(memory, True)
        return False
    return True


def _is_whole(view: mmap.mmap, end: int) -> bool:
    """Whether the seal at `end` belongs to what stands before it."""
    if view[end : end + len(_SEAL)] != _SEAL:
        return False
    with memoryview(view) as whole, whole[:end] as sealed:
        return view[end + len(_SEAL) :] == xxh3_128_digest(sealed)
