"""Fetching a catalogue model from Hugging Face, or from where HF_ENDPOINT points; nothing else here uses the network.

A file is written beside its place and renamed when its size and SHA-256 are the published ones. An interrupted
download leaves its part, and the next one goes on from there: huggingface_hub's own download function does not resume
since 2.4, so only its listing and its transfer are used.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO, Any, BinaryIO, cast

from app.models.places import own_folder
from app.sizes import show_bytes
from engine.errors import MAKE_ROOM, DoesNotFit, EngineFailed, LongdeskError, ModelRefused, UsageError, is_full, why
from engine.memory.catalog.entry import Entry

_AGAIN = "Run the same command again: it goes on where it stopped."
_SPARE_BYTES = 64 << 20  # a disk is never filled to the last byte


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository. sha256 is '' where the server does not tell it."""

    path: str
    n_bytes: int
    sha256: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is, over all files; seconds and resumed_bytes tell the rate of this run.

    checking: the file has arrived, and its content is held against the published SHA-256.
    """

    name: str
    done_bytes: int
    total_bytes: int
    resumed_bytes: int
    seconds: float
    checking: bool = False


OnProgress = Callable[[Progress], None]


def fetch(entry: Entry, home: Path, on_progress: OnProgress) -> Path:
    """Downloads all files of an entry and returns the first. Files that are there already are kept.

    Raises ModelRefused for a model that is not released or whose files are gone, DoesNotFit where the disk has no room,
    UsageError while another process fetches the same, EngineFailed where the network or the disk fails.
    """
    if not entry.released:
        raise ModelRefused(
            f"{entry.model} was announced and never released: there is nothing to download.",
            f"`longdesk plan --model {entry.name}` shows what it would need.",
        )
    folder = own_folder(home) / entry.name
    with _of_ours(entry):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)  # the user's alone, whichever command makes it
        folder.mkdir(parents=True, exist_ok=True)
        revision, files = _published(entry)
        _need_room(entry, files, folder)
        fetching = _Fetching(entry.repository, revision, folder, files, on_progress)
        return fetching.run()


@contextmanager
def _of_ours(entry: Entry) -> Iterator[None]:
    """Turns whatever the library and its HTTP client raise into one sentence."""
    try:
        yield
    except LongdeskError:
        raise
    except Exception as error:  # its classes depend on which HTTP client it was built on
        if isinstance(error, OSError) and is_full(error):
            fact = f"{entry.name} could not be downloaded: {why(error)}. What has arrived stays."
            raise EngineFailed(fact, f"{MAKE_ROOM} {_AGAIN}") from None
        words = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise EngineFailed(f"{entry.name} could not be downloaded: {words[0].rstrip('.')}.", _AGAIN) from None


def _hub() -> Any:
    """huggingface_hub, quiet: no telemetry, no bars of its own, and plain HTTP, which can go on where it stopped."""
    for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_XET"):
        os.environ[name] = "1"  # read once, while it is imported
    import huggingface_hub

    return huggingface_hub


def _published(entry: Entry) -> tuple[str, tuple[RemoteFile, ...]]:
    """The repository's commit and the entry's files in it, in order."""
    info = _hub().HfApi(library_name="longdesk").model_info(entry.repository, files_metadata=True)
    files = tuple(
        RemoteFile(sibling.rfilename, sibling.size or 0, sibling.lfs.sha256 if sibling.lfs else "")
        for sibling in sorted(info.siblings or (), key=lambda sibling: str(sibling.rfilename))
        if entry.owns(sibling.rfilename)
    )
    if not files:
        raise ModelRefused(
            f"{entry.repository} has no file {entry.stem}.gguf, split or whole.",
            "It may have been moved or renamed; download it by hand and name it with --model.",
        )
    if not all(file.n_bytes for file in files):
        raise EngineFailed(f"{entry.repository} does not tell the sizes of its files.", "Try again later.")
    return str(info.sha), files


def _need_room(entry: Entry, files: tuple[RemoteFile, ...], folder: Path) -> None:
    needed = sum(max(0, file.n_bytes - _there(folder, file)) for file in files)
    free = shutil.disk_usage(folder).free - _SPARE_BYTES
    if needed > free:
        raise DoesNotFit(
            f"{entry.name} needs {show_bytes(needed)} at {folder}, where {show_bytes(max(0, free))} is free: "
            f"{show_bytes(needed - free)} too few.",
            "Free some, or make that folder a link to a larger disk.",
        )


def _there(folder: Path, file: RemoteFile) -> int:
    """Bytes of a file that are there already, whole or in part."""
    for path in (folder / file.name, _part(folder, file)):
        if path.exists():
            return path.stat().st_size
    return 0


def _part(folder: Path, file: RemoteFile) -> Path:
    """Named after the content, so that a file that was published anew does not go on in the old one's part."""
    return folder / f".{file.name}.{(file.sha256 or str(file.n_bytes))[:16]}.part"


class _Fetching:
    """One run over all files, and how far it is."""

    def __init__(
        self, repository: str, revision: str, folder: Path, files: tuple[RemoteFile, ...], on_progress: OnProgress
    ) -> None:
        self._repository, self._revision, self._folder, self._files = repository, revision, folder, files
        self._on_progress = on_progress
        self._total = sum(file.n_bytes for file in files)
        self._done = self._resumed = 0
        self._begun = monotonic()

    def run(self) -> Path:
        for file in self._files:
            target = self._folder / file.name
            if not (target.exists() and target.stat().st_size == file.n_bytes):
                self._file(file, target)
            else:
                self._resumed += file.n_bytes
                self._done += file.n_bytes
        return self._folder / self._files[0].name

    def _file(self, file: RemoteFile, target: Path) -> None:
        part = _part(self._folder, file)
        with part.open("ab") as opened, _alone(opened, file):
            before = opened.tell()
            self._done += before
            self._resumed += before
            if before < file.n_bytes:
                self._transfer(file, opened, before)
            opened.flush()
            os.fsync(opened.fileno())
            self._report(file, checking=True)
            _check(file, part)
            part.replace(target)

    def _transfer(self, file: RemoteFile, opened: IO[bytes], before: int) -> None:
        hub = _hub()
        from huggingface_hub.file_download import http_get

        http_get(
            hub.hf_hub_url(self._repository, file.path, revision=self._revision),
            cast(BinaryIO, _Counting(opened, lambda count: self._advance(file, count))),  # it calls these methods only
            resume_size=before,
            headers=hub.utils.build_hf_headers(library_name="longdesk"),
            expected_size=file.n_bytes,
            displayed_filename=file.name,
        )

    def _advance(self, file: RemoteFile, n_bytes: int) -> None:
        self._done += n_bytes
        self._report(file)

    def _report(self, file: RemoteFile, *, checking: bool = False) -> None:
        seconds = monotonic() - self._begun
        self._on_progress(Progress(file.name, self._done, self._total, self._resumed, seconds, checking))


class _Counting:
    """The part as the transfer sees it: writing counts, and starting over counts back."""

    def __init__(self, file: IO[bytes], count: Callable[[int], None]) -> None:
        self._file, self._count = file, count

    def write(self, data: bytes) -> int:
        self._count(len(data))
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int) -> int:
        return self._file.seek(position)

    def truncate(self) -> int:
        """A server that does not know how to go on sends the file from its beginning."""
        before = os.fstat(self._file.fileno()).st_size
        after = self._file.truncate()
        self._count(after - before)
        return after


@contextmanager
def _alone(opened: IO[bytes], file: RemoteFile) -> Iterator[None]:
    """Two processes that append to one part would ruin it."""
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"Another process is downloading {file.name}.", "Wait for it, or stop it.") from None
    yield


def _check(file: RemoteFile, part: Path) -> None:
    """Raises EngineFailed, and removes the part, where it is not what was published."""
    if part.stat().st_size == file.n_bytes and (not file.sha256 or sha256_of(part) == file.sha256):
        return
    part.unlink()
    raise EngineFailed(f"{file.name} arrived damaged and was removed.", "Run the same command again.")


def sha256_of(path: Path) -> str:
    """The hex SHA-256 of a file; about a minute for 57 GiB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
