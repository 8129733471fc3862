"""A corpus on its way in: how far it is, and its ids, which are made while other files are still being read.

Which files these are, and what is known of them already, is left to engine.corpus.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path
from time import monotonic
from types import TracebackType

from app.settings import Settings
from engine.backend import Backend, Corpus, Skipped, Source
from engine.corpus.collect import Opener as Opener
from engine.corpus.collect import collect
from engine.corpus.collect import open_given as open_given
from engine.corpus.readings import Readings
from engine.corpus.rules import NO_PAGES, Rules
from engine.corpus.unread import UnreadSource
from engine.errors import LongdeskError

_AT_ONCE = 4 << 20  # characters: from so many on, the quicker encoder pays
_TELLING_S = 1.0  # from then on, what it took so far says something of the rest
_POLL_S = 0.1


class Doing(Enum):
    """What a reading is at."""

    FINDING = auto()  # files, by walking folders and zips
    READING = auto()
    COUNTING = auto()  # the tokens of what was read


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reading is. path: of the file that was found, read or skipped last. n_bytes: of all that were read.

    n_files: found, read or skipped, or counted so far, by what it is doing. n_total: of how many, None where that is
    not known yet. seconds: since it began.
    """

    n_files: int
    n_bytes: int
    seconds: float
    path: str
    n_total: int | None = None
    doing: Doing = Doing.READING

    @property
    def bytes_per_s(self) -> float:
        return self.n_bytes / self.seconds if self.seconds else 0.0

    @property
    def share(self) -> float | None:
        """Of what it is doing; None where nobody can tell."""
        return min(1.0, self.n_files / self.n_total) if self.n_total and self.doing is not Doing.FINDING else None

    @property
    def left_s(self) -> float | None:
        """Seconds until it is done, if files take as long as those so far; None where nobody can tell."""
        if not self.share or self.seconds < _TELLING_S:
            return None
        return self.seconds * (1 - self.share) / self.share


Tell = Callable[[Progress], None]
Encode = Callable[[Sequence[Source]], None]


def read(
    paths: Sequence[Path],
    rules: Rules,
    settings: Settings,
    backend: Callable[[], Backend],
    *,
    uploaded: bool = False,
    tell: Tell | None = None,
    open_path: Opener = open_given,
) -> Corpus:
    """See Desk.read. backend: that makes the ids."""

    def encode(sources: Sequence[Source]) -> None:
        with suppress(LongdeskError):  # whoever counts hears of it
            backend().encode_ahead(sources)

    with Reading(encode, tell, to_the_last=True) as reading:
        drawing = _drawing(rules, settings)
        return collect(
            paths,
            drawing,
            uploaded=uploaded,
            on_found=reading.find,
            on_file=reading.take,
            on_wait=reading.wait,
            open_path=open_path,
        )


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
        drawing = _drawing(rules, settings)
        find, take, wait = reading.find, reading.take, reading.wait
        return collect(paths, drawing, on_found=find, on_file=take, on_wait=wait, readings=readings)


def _drawing(rules: Rules, settings: Settings) -> Rules:
    return replace(rules, draw_pages=settings.draw_pages) if rules.draw_pages == NO_PAGES else rules


@dataclass(frozen=True, slots=True)
class _Encoding:
    """Ids on their way. n_files: of those before."""

    done: Future[None]
    n_files: int


@dataclass(slots=True)
class Reading:
    """Hears of each file of a corpus as it comes: `find`, `take` and `wait` are for `collect`.

    encode: makes the ids of sources, in a thread of its own; None where nobody will want them. tell: is told how far it
    is after each file; what it raises ends the reading. Leaving the block waits for the ids of what was read; left by
    an exception, for none. to_the_last: the last files' ids are made too, which are too few for the quicker encoder;
    else they are left to whoever counts.
    """

    encode: Encode | None = None
    tell: Tell | None = None
    to_the_last: bool = False
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "ids"))
    _begun: float = field(default_factory=monotonic)
    _n_files: int = 0
    _n_bytes: int = 0
    _n_total: int = 0
    _waiting: list[Source] = field(default_factory=list)
    _n_waiting: int = 0
    _n_encoding: int = 0
    _encoding: list[_Encoding] = field(default_factory=list)

    def find(self, n_total: int, path: str) -> None:
        """One more file that is to come. n_total: all that are known of."""
        self._n_total = n_total
        self._say(n_total, path, Doing.FINDING)

    def take(self, found: Source | Skipped) -> None:
        """A file that was read or is skipped."""
        self._n_files += 1
        if isinstance(found, Source):
            self._n_bytes += found.n_bytes
            if self.encode is not None and not isinstance(found, UnreadSource):
                self._wait_with(found)
        self._say(self._n_files, found.path, Doing.READING)

    def wait(self, at: str) -> None:
        """A file takes its time. at: which, and what of it is looked at ("brief.pdf, page 3")."""
        self._say(self._n_files, at, Doing.READING)

    def __enter__(self) -> "Reading":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _finish(self) -> None:
        if self.to_the_last and self._waiting:
            self._encode_waiting()
        for encoding in self._encoding:
            while not encoding.done.done():
                self._say(encoding.n_files, "", Doing.COUNTING)
                wait([encoding.done], _POLL_S)
            encoding.done.result()

    def _say(self, n_files: int, path: str, doing: Doing) -> None:
        if self.tell is not None:
            n_total = self._n_encoding if doing is Doing.COUNTING else max(self._n_total, self._n_files)
            self.tell(Progress(n_files, self._n_bytes, monotonic() - self._begun, path, n_total, doing))

    def _wait_with(self, source: Source) -> None:
        self._waiting.append(source)
        self._n_waiting += source.n_characters
        if self._n_waiting >= _AT_ONCE:
            self._encode_waiting()

    def _encode_waiting(self) -> None:
        assert self.encode is not None
        encoding = _Encoding(self._pool.submit(self.encode, self._waiting), self._n_encoding)
        self._encoding.append(encoding)
        self._n_encoding += len(self._waiting)
        self._waiting, self._n_waiting = [], 0
