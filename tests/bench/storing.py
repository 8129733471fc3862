"""A corpus of a few hundred megabytes on its way into a session, while another thread writes the text of an answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter, sleep

from engine.corpus.source import KeptFile, Source
from storage.schema import Database
from storage.store import Store
from tests.bench.table import Row

_FILES, _FILE_BYTES = 30, 10 << 20
_LOCK_S, _WAIT_S = 2.0, 4.0


def rows() -> Iterator[Row]:
    """Seconds against the most that they may be."""
    with TemporaryDirectory() as folder, Store(Path(folder) / "home") as store:
        session = store.sessions.create(title="asked", model="m").id
        other = store.sessions.create(title="filled", model="m").id
        name = f"{_FILES * _FILE_BYTES >> 20} MiB"
        with store.leases.acquire(session) as lease, _held() as held_s:
            turn, done, waited_s = store.turns.begin(lease, question="q"), Event(), []

            def write() -> None:
                text = ""
                while not done.is_set():
                    text += "word "
                    begun = perf_counter()
                    store.turns.append_text(turn.id, text)
                    waited_s.append(perf_counter() - begun)
                    sleep(0.05)

            thread = Thread(target=write)
            thread.start()
            begun = perf_counter()
            store.sources.put(other, [_file(number) for number in range(_FILES)], turn_index=0)
            spent_s = perf_counter() - begun
            done.set()
            thread.join()
            yield Row(f"{name} stored: longest that the lock was held", max(held_s), _LOCK_S, "s", 1.0)
            yield Row(f"{name} stored: longest that a piece of text waited", max(waited_s), _WAIT_S, "s", 1.0)
            yield Row(f"{name} stored, in all", spent_s, sum(held_s), "s", None)
            held_s.clear()
            store.sessions.delete(other)
            yield Row(f"{name} deleted: longest that the lock was held", max(held_s), _LOCK_S, "s", 1.0)


def _file(number: int) -> Source:
    data = Random(number).randbytes(_FILE_BYTES)
    return Source(f"{number}.png", "image", "", _FILE_BYTES, f"{number}", kept_file=KeptFile("PNG", data))


@contextmanager
def _held() -> Iterator[list[float]]:
    """How long each transaction that writes took."""
    lend, seconds = Database._lend, []

    @contextmanager
    def lending(self: Database, begin: str, **more: bool) -> Iterator[object]:
        with lend(self, begin, **more) as connection:
            begun = perf_counter()
            yield connection
        if begin != "BEGIN":
            seconds.append(perf_counter() - begun)

    Database._lend = lending  # type: ignore[method-assign, assignment]
    try:
        yield seconds
    finally:
        Database._lend = lend  # type: ignore[method-assign]
