"""A sequence's KV state on disk: writing it without a second copy in memory, and reading it back without trusting it.

llama_state_seq_load_file aborts the process on a short file, so the file is mapped and handed to the buffer call, after
its checksum was found right. What a file says of itself is `state_file`'s, which file to use is left to the caller.
"""

import contextlib
import ctypes
import json
import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import llama_cpp
import numpy as np

from engine.runtime.binding import Binding
from engine.runtime.cells import STATE_HEAD, STATE_MAGIC
from engine.runtime.slots import Slots
from engine.runtime.state_file import FILE_HEAD, LENGTHS, MARK, TAIL, Unusable, digest_of, problem_of
from engine.runtime.window import WINDOWED_ONLY, Window
from engine.tokens.document import Ids

_SEND_S = 0.01
_SYNC_FILE_RANGE_WRITE = 2


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
            file.write(LENGTHS.pack(len(window.data) if window else 0, len(manifest)))
            file.write(digest_of(file, file.tell()) + MARK)  # of what the system took, not of what was meant
            file.flush()
            os.fsync(file.fileno())
        n_bytes = beside.stat().st_size
        os.replace(beside, path)
        _sync_folder(path.parent)
        return n_bytes
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


def load_state(context: Any, path: Path, n_ids: int, slots: Slots | None) -> Window | Unusable | None:
    """Fills sequence 0 from a state file of n_ids ids; the copy of windowed cells that it holds, None without one.

    slots: where the windowed cells are put, None to leave that to llama.cpp. Unusable when anything is wrong with it:
    what was in the cache stays, unless llama.cpp itself refused the state.
    Raises OSError when the file went away.
    """
    with path.open("rb") as file:
        if (problem := problem_of(file)) is not None:  # before it is mapped, and the cache is touched
            return Unusable(problem)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as view:
            return _load(context, view, n_ids, slots)


def _load(context: Any, view: mmap.mmap, n_ids: int, slots: Slots | None) -> Window | Unusable | None:
    """Hands a file that is whole to llama.cpp, and its copy of the windowed cells to the caller."""
    memory = llama_cpp.llama_get_memory(context)
    start = FILE_HEAD.size + 4 * n_ids - STATE_HEAD.size  # over the last two ids, in our private copy of that page
    n_window, n_manifest, *_ = TAIL.unpack(view[-TAIL.size :])
    end = len(view) - TAIL.size - n_manifest - n_window
    if start < 0 or end <= start + STATE_HEAD.size:
        return Unusable("its file is damaged")
    llama_cpp.llama_memory_clear(memory, True)  # only now: a damaged file must not cost the live cache
    view[start : start + STATE_HEAD.size] = STATE_HEAD.pack(STATE_MAGIC, 0)
    size = end - start
    buffer = (ctypes.c_uint8 * size).from_buffer(view, start)
    try:
        n_read = llama_cpp.llama_state_seq_set_data_ext(context, buffer, size, 0, 0)
    finally:
        del buffer  # or the map could not be closed
    if n_read != size or not _put_in_place(context, view, end, slots):
        llama_cpp.llama_memory_clear(memory, True)
        return Unusable("llama.cpp does not take it")
    if not n_window:
        return None
    anchor = json.loads(view[end + n_window : end + n_window + n_manifest])["anchor"]
    with memoryview(view) as whole:  # a slice of the map itself would be one copy more, of a GiB for a large model
        return Window(int(anchor), bytearray(whole[end : end + n_window]))


def _put_in_place(context: Any, view: mmap.mmap, end: int, slots: Slots | None) -> bool:
    """Puts the windowed cells, with which the state ends, where a fresh run would have them."""
    if slots is None or not slots.n_slots:
        return True
    size = int(llama_cpp.llama_state_seq_get_size_ext(context, 0, WINDOWED_ONLY))
    start = end - size
    STATE_HEAD.pack_into(view, start, STATE_MAGIC, 0)  # over what was read, of the layers before them
    return slots.put(view, start, size)


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
