"""Which model a file is, or which projector, beyond its shape: a KV state is bound to it, and llama.cpp does not check.

A fingerprint of samples tells most apart. Two that differ between the samples only a digest of everything tells apart,
which takes minutes where a large model lies on a slow disk (xxh3 itself: 0.2 s a GiB from the page cache, measured). So
the files themselves stand for what they hold until somebody has read them, once: their stamp changes with every change
to them. Planning asks for none of this; the engine's side does, before it looks for a state.
"""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from xxhash import xxh3_128, xxh3_128_hexdigest

from engine.errors import ModelRefused
from engine.kept_files import write_whole
from engine.memory.card import ModelCard, ModelFile

_SAMPLES, _SAMPLE_BYTES = 64, 4096  # of a file
_STAMP = "files:"  # what begins so stands for files that were not read: engine.runtime.binding.is_read
_VERSION = 1  # raise it when a digest is made otherwise
_PIECE_BYTES = 4 << 20  # larger ones fall out of the processor's caches: 16 MiB take half as long again, measured
_STEP_BYTES = 256 << 20  # between two words on the progress
_SETTLED_S = 0.05  # file systems' clocks tick every 10 ms at most: a later change has another time


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


@dataclass(frozen=True, slots=True)
class Identity:
    """Which model it is. Equal for the same files, unchanged.

    fingerprint: of samples. stamp: the files. content: the digest of all they hold, the stamp where nobody read them.
    """

    fingerprint: str
    stamp: str
    content: str = field(compare=False)


class OfFiles(Protocol):
    """A model or a projector: its first file, and all of them."""

    @property
    def path(self) -> Path: ...
    @property
    def files(self) -> tuple[ModelFile, ...]: ...


class Contents:
    """What is remembered of models' contents, in a cache folder. May be used from any thread and by many processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digests: dict[str, str] = {}  # by stamp

    def identify(self, card: ModelCard) -> Identity:
        """Reads no more than samples, and those once. Raises ModelRefused when a file went away."""
        stamp = stamp_of(file_stamps(card))
        return Identity(fingerprint(card), stamp, self.resolve(stamp))

    def resolve(self, content: str) -> str:
        """What a stamp stands for, where its files were read; else the stamp itself. A digest stays one."""
        if content.startswith(_STAMP) and content not in self._digests and (digest := self._recall(content)):
            self._digests[content] = digest
        return self._digests.get(content, content)

    def content_of(self, projector: OfFiles) -> str:
        """The digest of all that a projector's file holds, its stamp where nobody read it. Raises ModelRefused."""
        return self.resolve(stamp_of(file_stamps(projector)))

    def read(self, card: OfFiles) -> Iterator[float]:
        """Reads all files to their end and remembers the digest; the share read, every 256 MiB.

        Files that change meanwhile are not remembered. Raises ModelRefused for files that cannot be read.
        """
        files = file_stamps(card)
        time.sleep(max(0.0, min(_SETTLED_S, max(file.changed_ns for file in files) / 1e9 + _SETTLED_S - time.time())))
        total, n_read, told = sum(file.n_bytes for file in files), 0, 0
        digest, piece = xxh3_128(), memoryview(bytearray(_PIECE_BYTES))
        try:
            for part, file in zip(card.files, files, strict=True):
                digest.update(file.n_bytes.to_bytes(8, "little"))  # so that no part ends where another begins
                with part.path.open("rb", buffering=0) as raw:
                    while n := raw.readinto(piece):
                        digest.update(piece[:n])
                        n_read += n
                        if n_read - told >= _STEP_BYTES:
                            told = n_read
                            yield n_read / max(total, n_read)
        except OSError as error:
            raise ModelRefused(f"{card.path} cannot be read: {error.strerror}.", "Check the disk it lies on.") from None
        if n_read == total and file_stamps(card) == files:
            self._remember(stamp_of(files), digest.hexdigest())

    def _remember(self, stamp: str, digest: str) -> None:
        """A folder that cannot be written costs the next process another reading, nothing else."""
        self._digests[stamp] = digest
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            kept = {"version": _VERSION, "stamp": stamp, "content": digest}
            write_whole(self._path(stamp), json.dumps(kept).encode())

    def _recall(self, stamp: str) -> str | None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self._path(stamp).read_text())
            if (kept["version"], kept["stamp"]) == (_VERSION, stamp) and len(bytes.fromhex(kept["content"])) == 16:
                return str(kept["content"])
        return None

    def _path(self, stamp: str) -> Path:
        return self._folder / f"model-{stamp.removeprefix(_STAMP)}.json"


def stamp_of(files: tuple[FileStamp, ...]) -> str:
    """Stands for files as they are on this machine, wherever they are called so."""
    return _STAMP + xxh3_128_hexdigest(repr(files).encode())


def file_stamps(card: OfFiles) -> tuple[FileStamp, ...]:
    """Of all parts, links followed. Raises ModelRefused when a file went away."""
    try:
        return tuple(file_stamp(file.path) for file in card.files)
    except OSError as error:
        raise ModelRefused(
            f"{card.path} cannot be read any more: {error.strerror}.", "Put the model file back, or name another."
        ) from None


def fingerprint(card: OfFiles) -> str:
    """Hex blake2b-128 that tells most models of one shape apart; the same for copies of a file.

    Reads 256 KiB of weights a file, once for as long as it stays what it is. Raises ModelRefused when a file went away.
    """
    stamps = file_stamps(card)
    try:
        return _fingerprint(card.files, stamps)
    except OSError as error:
        raise ModelRefused(f"{card.path} cannot be read: {error.strerror}.", "Check the disk it lies on.") from None


def variant(card: ModelCard) -> str:
    """Hex, as fingerprint, and other where adapters or another scaling of positions make it read otherwise. Raises as
    fingerprint does."""
    plain, told = fingerprint(card), card.told_apart
    return blake2b(f"{plain} {told}".encode(), digest_size=16).hexdigest() if told else plain


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
