"""A corpus on its way in: how far it is, and its ids, which are made while other files are still being read.

Which files these are, and what is known of them already, is left to engine.corpus.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from types import TracebackType

from app.settings import Settings
from engine.backend import Backend, Corpus, Skipped, Source
from engine.corpus.collect import collect
from engine.corpus.readings import Readings
from engine.corpus.rules import NO_PAGES, Rules
from engine.corpus.unread import UnreadSource

_AT_ONCE = 4 << 20  # characters: from so many on, the quicker encoder pays


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reading is. path: of the file that was read last, or skipped. n_bytes: of all that were read."""

    n_files: int
    n_bytes: int
    seconds: float
    path: str

    @property
    def bytes_per_s(self) -> float:
        return self.n_bytes / self.seconds if self.seconds else 0.0


Tell = Callable[[Progress], None]


def read(
    paths: Sequence[Path], rules: Rules, settings: Settings, *, uploaded: bool = False, tell: Tell | None = None
) -> Corpus:
    """See Desk.read."""
    with Reading(tell=tell) as reading:
        return collect(paths, _drawing(rules, settings), uploaded=uploaded, on_file=reading.take)


def read_to_count(
    paths: Sequence[Path],
    rules: Rules,
    settings: Settings,
    backend: Backend,
    *,
    read_again: bool = False,
    tell: Tell | None = None,
) -> Corpus:
    """What lies at these paths, to be counted with this engine and no more.

    Files that did not change since they were counted are not opened, unless they are to be read again; their text is
    read only if somebody asks for it. The ids of the others are made meanwhile.
    """
    readings = Readings(settings.count_cache, read_again=read_again)
    with Reading(backend.encode_ahead, tell) as reading:
        return collect(paths, _drawing(rules, settings), on_file=reading.take, readings=readings)


def _drawing(rules: Rules, settings: Settings) -> Rules:
    return replace(rules, draw_pages=settings.draw_pages) if rules.draw_pages == NO_PAGES else rules


@dataclass(slots=True)
class Reading:
    """Hears of each file of a corpus as it comes: `take` is for `collect`.

    encode: makes the ids of sources, in a thread of its own; None where nobody will want them. tell: is told how far it
    is after each file; what it raises ends the reading. Leaving the block waits for the ids of what was read; left by
    an exception, for those alone that are being made.
    """

    encode: Callable[[Sequence[Source]], None] | None = None
    tell: Tell | None = None
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "ids"))
    _begun: float = field(default_factory=monotonic)
    _n_files: int = 0
    _n_bytes: int = 0
    _waiting: list[Source] = field(default_factory=list)
    _n_waiting: int = 0
    _encoding: list[Future[None]] = field(default_factory=list)

    def take(self, found: Source | Skipped) -> None:
        """A file that was read or is skipped."""
        self._n_files += 1
        if isinstance(found, Source):
            self._n_bytes += found.n_bytes
            if self.encode is not None and not isinstance(found, UnreadSource):
                self._wait_with(found)
        if self.tell is not None:
            self.tell(Progress(self._n_files, self._n_bytes, monotonic() - self._begun, found.path))

    def __enter__(self) -> "Reading":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            for done in self._encoding:
                done.result()

    def _wait_with(self, source: Source) -> None:
        """The last ones, too few for that, are left to whoever counts."""
        self._waiting.append(source)
        self._n_waiting += source.n_characters
        if self._n_waiting >= _AT_ONCE:
            assert self.encode is not None
            self._encoding.append(self._pool.submit(self.encode, self._waiting))
            self._waiting, self._n_waiting = [], 0
