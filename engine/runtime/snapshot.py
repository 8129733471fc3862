"""A sequence's KV state on disk: writing it without a second copy in memory, and reading it back without trusting it.

One file holds llama.cpp's own state file, the copy of the windowed cells at the corpus's end, a manifest that says what
it belongs to and under which name it was written, and a checksum over all of it. llama_state_seq_load_file aborts the
process on a short file, so the file is mapped and handed to the buffer call, after its checksum was found right. Which
file to use is left to the caller.
"""

import contextlib
import ctypes
import json
import mmap
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader
from pathlib import Path
from threading import Event, Thread
from typing import Any

import llama_cpp
import numpy as np
from xxhash import xxh3_128

from engine.runtime.binding import Binding, binding_from
from engine.runtime.window import Window
from engine.tokens.encode import Ids

_FILE_HEAD = struct.Struct("<III")  # magic, version, number of token ids; the ids follow, then the state
# the buffer call wants these 8 bytes before the state, which the file call leaves out (llama.cpp 0c1e57098)
_STATE_HEAD = struct.Struct("<Ii")
_STATE_MAGIC = 0xAF143CD8
# the end of the file: bytes of the window and of the manifest, xxh3 of all before it, those included, and our mark
_LENGTHS = struct.Struct("<QQ")
_TAIL = struct.Struct("<QQ16s20s")
_SEAL = struct.Struct("<16s20s")
_SEAL_BYTES = _SEAL.size
_PIECE = 256 << 10  # stays in the processor's cache between reading and hashing: 8 MiB take 1.3 times as long
_SEND_S = 0.01
_SYNC_FILE_RANGE_WRITE = 2
_MARK = b"longdesk-kv-state-2\n"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file says of itself. anchor: tokens up to which the windowed cells were copied, 0 without a copy."""

    binding: Binding
    n_tokens: int
    anchor: int


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a state is not used, as the end of a sentence: "the KV state was not used: ...".

    is_broken: whether that is the file's own fault, so that nobody can use it.
    """

    reason: str
    is_broken: bool = True


def save_state(context: Any, ids: Ids, window: Window | None, binding: Binding, path: Path) -> int:
    """Writes sequence 0, which holds these ids, beside `path`, syncs it and renames it in; bytes written.

    llama.cpp's file call streams a layer at a time, so no second copy of the cache stands in memory. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    tokens = (llama_cpp.llama_token * len(ids)).from_buffer_copy(ids.astype(np.int32).tobytes())
    fields = {"binding": binding.fields(), "n_tokens": len(ids), "anchor": window.n_tokens if window else 0}
    manifest = json.dumps({**fields, "name": path.name}, separators=(",", ":")).encode()
    try:
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with _sent_to_disk(beside):
            is_written = llama_cpp.llama_state_seq_save_file(context, os.fsencode(beside), 0, tokens, len(ids))
        if not is_written:
            raise OSError("llama.cpp could not write the KV state")
        with beside.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(window.data if window else b"")
            file.write(manifest)
            file.write(_LENGTHS.pack(len(window.data) if window else 0, len(manifest)))
            file.write(_digest(file, file.tell()) + _MARK)  # of what the system took, not of what was meant
            file.flush()
            os.fsync(file.fileno())
        n_bytes = beside.stat().st_size
        os.replace(beside, path)
        _sync_folder(path.parent)
        return n_bytes
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


def read_manifest(path: Path) -> Manifest | Unusable:
    """What a file says of itself, without its checksum being looked at."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size < _TAIL.size:
                return Unusable("its file is cut short")
            file.seek(size - _TAIL.size)
            n_window, n_manifest, _, mark = _TAIL.unpack(file.read(_TAIL.size))
            if mark != _MARK:
                return Unusable("its file is cut short, or of another version of Longdesk")
            if n_window + n_manifest + _TAIL.size > size:
                return Unusable("its file is damaged")
            file.seek(size - _TAIL.size - n_manifest)
            fields = json.loads(file.read(n_manifest))
            if fields.get("name", path.name) != path.name:  # the index says what another file holds
                return Unusable("its file holds another KV state, one that was written under another name")
            return Manifest(binding_from(fields["binding"]), int(fields["n_tokens"]), int(fields["anchor"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Unusable("its file is gone or damaged")


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


def verify(path: Path) -> str | None:
    """What is wrong with a state file, as the end of a sentence; None for a whole one. Reads all of it."""
    manifest = read_manifest(path)
    if isinstance(manifest, Unusable):
        return manifest.reason
    try:
        with path.open("rb") as file:
            return _problem(file)
    except OSError:
        return "its file is gone or damaged"


def load_state(context: Any, path: Path, n_ids: int) -> Window | Unusable | None:
    """Fills sequence 0 from a state file of n_ids ids; the copy of windowed cells that it holds, None without one.

    Unusable when anything is wrong with it: what was in the cache stays, unless llama.cpp itself refused the state.
    Raises OSError when the file went away.
    """
    with path.open("rb") as file:
        if (problem := _problem(file)) is not None:  # before it is mapped, and the cache is touched
            return Unusable(problem)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as view:
            return _load(context, view, n_ids)


def _load(context: Any, view: mmap.mmap, n_ids: int) -> Window | Unusable | None:
    """Hands a file that is whole to llama.cpp, and its copy of the windowed cells to the caller."""
    memory = llama_cpp.llama_get_memory(context)
    start = _FILE_HEAD.size + 4 * n_ids - _STATE_HEAD.size  # over the last two ids, in our private copy of that page
    n_window, n_manifest, *_ = _TAIL.unpack(view[-_TAIL.size :])
    end = len(view) - _TAIL.size - n_manifest - n_window
    if start < 0 or end <= start + _STATE_HEAD.size:
        return Unusable("its file is damaged")
    llama_cpp.llama_memory_clear(memory, True)  # only now: a damaged file must not cost the live cache
    view[start : start + _STATE_HEAD.size] = _STATE_HEAD.pack(_STATE_MAGIC, 0)
    size = end - start
    buffer = (ctypes.c_uint8 * size).from_buffer(view, start)
    try:
        n_read = llama_cpp.llama_state_seq_set_data_ext(context, buffer, size, 0, 0)
    finally:
        del buffer  # or the map could not be closed
    if n_read != size:
        llama_cpp.llama_memory_clear(memory, True)
        return Unusable("llama.cpp does not take it")
    if not n_window:
        return None
    anchor = json.loads(view[end + n_window : end + n_window + n_manifest])["anchor"]
    with memoryview(view) as whole:  # a slice of the map itself would be one copy more, of a GiB for a large model
        return Window(int(anchor), bytearray(whole[end : end + n_window]))


def _problem(file: BufferedReader) -> str | None:
    """What is wrong with a file's seal, as the end of a sentence; None where it belongs to what stands before it.

    Reads, and maps nothing: a failing disk is then an error, and no signal that ends the process.
    """
    try:
        size = file.seek(0, os.SEEK_END)
        if size < _TAIL.size:
            return "its file is cut short"
        digest = _digest(file, size - _SEAL_BYTES)
        is_whole = _SEAL.unpack(file.read(_SEAL_BYTES)) == (digest, _MARK)
    except (OSError, struct.error) as error:
        return f"its file cannot be read ({error})"
    return None if is_whole else "its checksum is wrong: the file is damaged"


def _digest(file: BufferedReader | BufferedRandom, n_bytes: int) -> bytes:
    """xxh3 of a file's first n_bytes; the file then stands behind them. Raises OSError."""
    digest, piece = xxh3_128(), memoryview(bytearray(_PIECE))
    file.seek(0)
    left = n_bytes
    while left > 0 and (n_read := file.readinto(piece[: min(left, _PIECE)])):
        digest.update(piece[:n_read])
        left -= n_read
    return digest.digest()


@contextlib.contextmanager
def _sent_to_disk(path: Path) -> Iterator[None]:
    """Lets the disk begin with what others write to a file meanwhile: a GiB is on it in two thirds of the time.

    Linux only; elsewhere all of it waits for the sync that follows.
    """
    if sys.platform != "linux":
        yield
        return
    send, done = ctypes.CDLL(None).sync_file_range, Event()

    def send_on(handle: int) -> None:
        while not done.wait(_SEND_S):
            send(handle, ctypes.c_int64(0), ctypes.c_int64(0), _SYNC_FILE_RANGE_WRITE)

    handle = os.open(path, os.O_WRONLY)
    sender = Thread(target=send_on, args=(handle,), daemon=True)
    sender.start()
    try:
        yield
    finally:
        done.set()
        sender.join()
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Makes a rename last through a power failure, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
