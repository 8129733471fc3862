"""Embeddings of pictures on disk, by what was seen, so that no tile of a picture is encoded twice.

A file for each run of the encoder: its rows, float32. Used least recently, deleted first. Nothing here is the user's
own: a file that is missing or damaged is made anew.
"""

import os
import secrets
import shutil
from contextlib import suppress
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from engine.errors import EngineFailed, ModelRefused
from engine.file_clock import age_s
from engine.memory.budget import DISK_RESERVE_BYTES
from engine.memory.fingerprint import Contents
from engine.memory.projector import read_projector
from engine.runtime.binding import is_read

_ABANDONED_S = 3600.0  # a half-written one

Rows = npt.NDArray[np.float32]


class Embeddings:
    """A folder of them, in the cache's own. May be used by several processes at once."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._contents = Contents(folder.parent)
        self._made_with: dict[Path, str] = {}

    def made_with(self, projector: Path) -> str:
        """What embeddings depend on beside the picture: all that the projector's file holds, and the library.

        Reads the file where nobody has, 0.2 s a GiB from the page cache; it is about to be loaded anyway.
        """
        if projector not in self._made_with:
            try:
                card = read_projector(projector)
                if not is_read(self._contents.content_of(card)):
                    for _ in self._contents.read(card):
                        pass
                content = self._contents.content_of(card)
            except ModelRefused as error:
                raise EngineFailed(error.fact, error.remedy) from None
            self._made_with[projector] = f"{version('llama-cpp-python')} {content}"
        return self._made_with[projector]

    def get(self, key: str, n_embd: int) -> Rows | None:
        """The rows of this key, of shape [n, n_embd]; None where they are not kept, or the file is damaged."""
        path = self._path(key)
        with suppress(OSError, ValueError):
            data = path.read_bytes()
            rows = np.frombuffer(data, dtype="<f4", offset=8)
            if rows.size and rows.size % n_embd == 0 and _seal(data[8:]) == data[:8]:
                os.utime(path)  # used now
                return rows.reshape(-1, n_embd)
        return None

    def put(self, key: str, rows: Rows) -> None:
        """Keeps them, as far as the disk lets it, and lets go of what was not used for longest."""
        data = np.ascontiguousarray(rows, dtype="<f4").tobytes()
        if len(data) > self._max_bytes:
            return
        beside = self._folder / f"{os.getpid()}-{secrets.token_hex(8)}.part"  # ids of two containers may be equal
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_room(len(data))
            if shutil.disk_usage(self._folder).free - len(data) >= DISK_RESERVE_BYTES:
                beside.write_bytes(_seal(data) + data)
                os.replace(beside, self._path(key))
        except OSError:  # the next question encodes it again
            with suppress(OSError):
                beside.unlink()

    def _make_room(self, n_bytes: int) -> None:
        kept = []
        for entry in os.scandir(self._folder):
            with suppress(OSError):
                stat = entry.stat()
                if entry.name.endswith(".part") and age_s(Path(entry.path)) < _ABANDONED_S:
                    continue  # somebody writes it
                kept.append((stat.st_mtime_ns, stat.st_size, entry.path))
        total = sum(size for _, size, _ in kept) + n_bytes
        for _, size, path in sorted(kept):
            if total <= self._max_bytes:
                return
            with suppress(OSError):
                os.unlink(path)
                total -= size

    def _path(self, key: str) -> Path:
        return self._folder / f"{blake2b(key.encode(), digest_size=16).hexdigest()}.rows"


def _seal(data: bytes) -> bytes:
    return xxh3_64_intdigest(data).to_bytes(8, "little")
