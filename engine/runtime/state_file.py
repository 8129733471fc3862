"""The file of a KV state: what it says of itself, whether it is whole, and how much of a prompt it keeps.

It holds llama.cpp's own state file, the copy of the windowed cells at the corpus's end, a manifest that says what it
belongs to and under which name it was written, and a checksum over all of it. Nothing here needs llama.cpp; writing and
loading states is left to `snapshot`.
"""

import contextlib
import json
import os
import struct
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader
from pathlib import Path

import numpy as np
from xxhash import xxh3_128

from engine.runtime.binding import Binding, binding_from
from engine.runtime.prefix import CacheShape, rewind_to
from engine.tokens.document import Ids, common_prefix

FILE_HEAD = struct.Struct("<III")  # magic, version, number of token ids; the ids follow, then the state
_KNOWN = (0x67677371, 3)  # llama.cpp 0c1e57098: LLAMA_STATE_SEQ_MAGIC and LLAMA_STATE_SEQ_VERSION
# the end of the file: bytes of the window and of the manifest, xxh3 of all before it, those included, and our mark
LENGTHS = struct.Struct("<QQ")
TAIL = struct.Struct("<QQ16s20s")
_SEAL = struct.Struct("<16s20s")
_PIECE = 256 << 10  # stays in the processor's cache between reading and hashing: 8 MiB take 1.3 times as long
_FEWEST_LOST, _LEAST_SHARE_LOST = 512, 0.1  # of a prompt: less is read before a sentence about it is
MARK = b"longdesk-kv-state-2\n"


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


@dataclass(frozen=True, slots=True)
class Promise:
    """What a state file keeps of a prompt: its first n_tokens. ids: all that it holds; a context needs a cell each.

    by_window: only with its copy of the windowed cells.
    """

    path: Path
    n_tokens: int
    ids: Ids
    by_window: bool = False


def read_manifest(path: Path) -> Manifest | Unusable:
    """What a file says of itself, without its checksum being looked at."""
    try:
        with path.open("rb") as file:
            return _manifest_in(file, path.name)
    except OSError:
        return Unusable("its file is gone or damaged")


def _manifest_in(file: BufferedReader, name: str) -> Manifest | Unusable:
    """name: of the file, as it should say itself."""
    try:
        size = file.seek(0, os.SEEK_END)
        if size < TAIL.size:
            return Unusable("its file is cut short")
        file.seek(size - TAIL.size)
        n_window, n_manifest, _, mark = TAIL.unpack(file.read(TAIL.size))
        if mark != MARK:
            return Unusable("its file is cut short, or of another version of Longdesk")
        if n_window + n_manifest + TAIL.size > size:
            return Unusable("its file is damaged")
        file.seek(size - TAIL.size - n_manifest)
        fields = json.loads(file.read(n_manifest))
        if fields.get("name", name) != name:  # the index says what another file holds
            return Unusable("its file holds another KV state, one that was written under another name")
        return Manifest(binding_from(fields["binding"]), int(fields["n_tokens"]), int(fields["anchor"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Unusable("its file is gone or damaged")


def read_state_ids(path: Path) -> Ids | None:
    """The ids that a state file says it holds; None when it is no such file or ends inside them."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return _ids_in(file)
    return None


def _ids_in(file: BufferedReader) -> Ids | None:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(FILE_HEAD.size)
    if len(head) == FILE_HEAD.size:
        magic, version, n_ids = FILE_HEAD.unpack(head)
        if (magic, version) == _KNOWN and 0 < n_ids <= (size - FILE_HEAD.size) // 4:
            return np.fromfile(file, dtype="<i4", count=n_ids)
    return None


def verify(path: Path) -> str | None:
    """What is wrong with a state file, as the end of a sentence; None for a whole one. Reads all of it."""
    manifest = read_manifest(path)
    if isinstance(manifest, Unusable):
        return manifest.reason
    try:
        with path.open("rb") as file:
            return problem_of(file)
    except OSError:
        return "its file is gone or damaged"


def problem_of(file: BufferedReader) -> str | None:
    """What is wrong with a file's seal, as the end of a sentence; None where it belongs to what stands before it.

    Reads, and maps nothing: a failing disk is then an error, and no signal that ends the process.
    """
    try:
        size = file.seek(0, os.SEEK_END)
        if size < TAIL.size:
            return "its file is cut short"
        digest = digest_of(file, size - _SEAL.size)
        is_whole = _SEAL.unpack(file.read(_SEAL.size)) == (digest, MARK)
    except (OSError, struct.error) as error:
        return f"its file cannot be read ({error})"
    return None if is_whole else "its checksum is wrong: the file is damaged"


def digest_of(file: BufferedReader | BufferedRandom, n_bytes: int) -> bytes:
    """xxh3 of a file's first n_bytes; the file then stands behind them. Raises OSError."""
    digest, piece = xxh3_128(), memoryview(bytearray(_PIECE))
    file.seek(0)
    left = n_bytes
    while left > 0 and (n_read := file.readinto(piece[: min(left, _PIECE)])):
        digest.update(piece[:n_read])
        left -= n_read
    return digest.digest()


def promise(path: Path, ids: Ids, binding: Binding, shape: CacheShape) -> Promise | Unusable:
    """How much of a prompt a state file keeps, before it is loaded into a context that is large enough.

    The file is opened once.
    """
    try:
        with path.open("rb") as file:
            manifest = _manifest_in(file, path.name)
            if not isinstance(manifest, Manifest):
                return manifest
            if (other := binding.mismatch(manifest.binding)) is not None:
                return Unusable(f"it was made with {other}", is_broken=False)
            saved = _ids_in(file)
    except OSError:
        return Unusable("its file is gone or damaged")
    if saved is None or len(saved) != manifest.n_tokens:
        return Unusable("its file is damaged")
    kept = rewind_to(
        min(common_prefix(saved, ids), len(ids) - 1),
        n_cached=len(saved),
        pos_min=shape.pos_min_after(len(saved)),
        shape=shape,
        copied=manifest.anchor,
    )
    return Promise(path, kept.n_tokens, saved, kept.by_window)


def is_loss(n_tokens: int, *, n_prompt: int) -> bool:
    """Whether it is worth a word that so many tokens of a prompt are read though a state keeps them."""
    return n_tokens >= max(_FEWEST_LOST, _LEAST_SHARE_LOST * n_prompt)
