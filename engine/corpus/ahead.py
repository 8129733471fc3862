"""Files whose readers are processes of their own, read while the ones before them are still worked on, in their order.

What is done here with one file, and what its reader does with the next, so goes on at once; of many files, two readers
go on at once. Where no thread is to be had, each is read as it is taken. What a file's reading is, and who is told
while one is waited for, is left to whoever reads.
"""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Event as Flag
from typing import TYPE_CHECKING, Generic, TypeVar

from engine.corpus.formats.format import Waiting

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_POLL_S = 0.05
_MANY = 24  # files, for which a second reader is worth its start: it imports for as long as it reads some ten images
_NONE = ((None,),)
_T = TypeVar("_T")


class _Ended(Exception):
    """Nobody waits for it any more."""


class Ahead(Generic[_T]):
    """The readings to come, by their names, in the order in which they will be taken. A context, at whose end those
    that are at work are ended. A reading is told to whom it says what it looks at.

    waiting: is called again and again, in the thread that takes, while that waits; what it raises is raised there.
    """

    def __init__(self, waiting: Waiting, readings: Sequence[tuple[str, Callable[[Waiting], _T]]]) -> None:
        self._waiting = waiting
        self._to_come = deque(readings if len(readings) > 1 else ())  # of one, nothing comes before it
        self._begun: deque[tuple[str, Future[_T]]] = deque()
        self._n_at_once = 1 if len(readings) < _MANY else 2
        self._threads = _threads(self._n_at_once) if self._to_come else None
        self._at: dict[str, str] = {}  # what is looked at of each file that is begun
        self._ended = Flag()

    def __enter__(self) -> "Ahead[_T]":
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def take(self, name: str, read: Callable[[Waiting], _T]) -> _T:
        """What the reading of this name gives; where it is not the next that is expected, `read` is it, here and now.

        Raises what that raises, and what `waiting` raises.
        """
        if (self._begun or _NONE)[0][0] != name:
            return read(self._waiting)
        _, reading = self._begun.popleft()
        self._begin()
        while not self._is_done(reading):
            self._waiting(self._at.get(name, name))
        self._at.pop(name, None)
        return reading.result()

    def _is_done(self, reading: "Future[_T]") -> bool:
        from concurrent.futures import wait

        return bool(wait((reading,), _POLL_S).done)

    def _begin(self) -> None:
        """As many as are worked on at once, and one that is done by the time it is taken."""
        while self._threads is not None and self._to_come and len(self._begun) <= self._n_at_once:
            name, read = self._to_come.popleft()
            try:
                self._begun.append((name, self._threads.submit(read, self._told_of(name))))
            except RuntimeError:  # the system gives no thread, or takes them back as this process ends
                self._to_come.clear()

    def _told_of(self, name: str) -> Waiting:
        def waiting(at: str) -> None:
            if self._ended.is_set():
                raise _Ended
            self._at[name] = at

        return waiting


def _threads(n_at_once: int) -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor  # most corpora are nothing but text

    return ThreadPoolExecutor(n_at_once, "reading-ahead")
