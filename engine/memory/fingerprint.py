"""Which model a file is, beyond its shape: a KV state is bound to it, since llama.cpp does not check that itself.

Samples only: planning never asks for them, the engine's side does, before it looks for a state. That a state is used
for nothing but what it was made with is left to `identity`, which reads everything.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from engine.errors import ModelRefused
from engine.memory.card import ModelCard, ModelFile
from engine.memory.projector import Projector

_SAMPLES, _SAMPLE_BYTES = 64, 4096


@dataclass(frozen=True, slots=True)
class FileStamp:
    """A file as the system knows it, wherever it is named: it changes with everything that is written to the file.

    changed_ns: nanoseconds of the inode's last change, which no program can set back as it can modified_ns. A file
    that is renamed, or linked to, changes too and is read again.
    """

    device: int
    inode: int
    n_bytes: int
    modified_ns: int
    changed_ns: int


def file_stamps(card: ModelCard | Projector) -> tuple[FileStamp, ...]:
    """Of all parts, links followed. Raises ModelRefused when a file went away."""
    try:
        return tuple(file_stamp(file.path) for file in card.files)
    except OSError as error:
        raise ModelRefused(
            f"{card.path} cannot be read any more: {error.strerror}.", "Put the model file back, or name another."
        ) from None


def fingerprint(card: ModelCard | Projector) -> str:
    """Hex blake2b-128 that tells most models of one shape apart; the same for copies of a file.

    Reads 256 KiB of weights a file, once for as long as it stays what it is. Raises ModelRefused when a file went away.
    """
    stamps = file_stamps(card)
    try:
        return _fingerprint(card.files, stamps)
    except OSError as error:
        raise ModelRefused(f"{card.path} cannot be read: {error.strerror}.", "Check the disk it lies on.") from None


@lru_cache(maxsize=16)
def _fingerprint(files: tuple[ModelFile, ...], stamps: tuple[FileStamp, ...]) -> str:
    """Of each file the header's digest, the size and samples of its weights, its first and last bytes among them."""
    digest = blake2b(digest_size=16)
    for part in files:
        digest.update(f"{part.header_digest} {part.n_bytes}".encode())
        room = max(0, part.n_bytes - part.data_start - _SAMPLE_BYTES)
        with part.path.open("rb") as file:
            for sample in range(_SAMPLES):
                file.seek(part.data_start + room * sample // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def file_stamp(path: Path) -> FileStamp:
    """Of one file, links followed. Raises OSError."""
    stat = path.stat()
    return FileStamp(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
