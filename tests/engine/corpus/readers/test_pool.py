"""The processes that read strangers' files: what they may do, how they end, and that whoever waits can always stop."""

import io
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import psutil
import pytest

from engine.corpus.formats import apart
from engine.corpus.formats.format import Waiting, wait_only
from engine.corpus.formats.reader import draw, read_content
from engine.corpus.readers import limits, pool
from engine.corpus.readings import Readings
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, KeptFile, Pixels, Skipped, Source
from engine.errors import Cancelled
from engine.kept_files import KeptFiles
from tests import hostile
from tests.patience import until

POLL = select.poll
FOR_EVER = KeptFile("PDF", hostile.tiny_pattern(), scalable=True)
PAGE = hostile.one_page(hostile.words(b"The rent is due."))


@pytest.fixture(autouse=True)
def fresh() -> None:
    apart.POOL.close()


def read(data: bytes = PAGE, path: str = "a.pdf", waiting: Waiting = wait_only) -> Source | Skipped:
    return read_content(path, len(data), io.BytesIO(data).read, Rules(), waiting=waiting)


def hang(waiting: Waiting) -> Pixels | Skipped:
    return draw("a.pdf", FOR_EVER, number=1, width=612, height=792, waiting=waiting)


def readers() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "reading_child" in _command(each)]


def _command(process: psutil.Process) -> str:
    """Nothing of one that ended, whoever's it was."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_a_reader_serves_many_files() -> None:
    assert isinstance(read(), Source)
    (first,) = readers()
    assert isinstance(read(hostile.png(), "a.png"), Source)
    assert isinstance(read(hostile.notebook_of('{"cell_type": "code", "source": "1"}'), "a.ipynb"), Source)
    assert readers() == [first]


def test_a_reader_has_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("LONGDESK_KEY", "another")
    read()
    (reader,) = readers()
    assert not {"OPENAI_API_KEY", "LONGDESK_KEY", "USER", "SSH_AUTH_SOCK"} & reader.environ().keys()
    assert reader.rlimit(resource.RLIMIT_FSIZE)[0] == 0 and reader.rlimit(resource.RLIMIT_CORE) == (0, 0)
    assert reader.rlimit(resource.RLIMIT_AS)[0] == limits.MEMORY_BYTES
    assert reader.rlimit(resource.RLIMIT_NOFILE)[0] <= limits.MOST_FILES
    assert 0 < reader.rlimit(resource.RLIMIT_CPU)[0] < 120
    status = Path(f"/proc/{reader.pid}/status").read_text() if sys.platform == "linux" else "NoNewPrivs:\t1"
    assert "NoNewPrivs:\t1" in status
    assert reader.open_files() == [], "it holds no file by name"


def test_whoever_waits_may_stop_at_any_moment() -> None:
    told: list[str] = []

    def stop(at: str) -> None:
        told.append(at)
        if len(told) == 3:
            raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        hang(stop)
    until(lambda: not readers())
    assert isinstance(read(), Source), "the next file has a reader"


def test_the_page_that_is_read_is_told() -> None:
    told: list[str] = []

    def hear(at: str) -> None:
        told.append(at)
        if len(told) > 20 and at == "brief.pdf, page 2":
            raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        read(hostile.tiny_pattern_on_one_of(3, bad=1), "brief.pdf", hear)
    assert told[-1] == "brief.pdf, page 2"


class _WordAtOnce:
    """A poll that is never left without a word."""

    def __init__(self) -> None:
        self._poll = POLL()
        self.register = self._poll.register

    def poll(self, _: float) -> list[tuple[int, int]]:
        return self._poll.poll()


def test_whoever_waits_is_told_and_may_stop_where_no_page_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next word of a reader may be there whenever it is looked for."""
    monkeypatch.setattr(pool, "_POLL_S", 0.0)
    told: list[str] = []

    def stop(at: str) -> None:
        told.append(at)
        if at == "a.pdf, page 9":
            raise Cancelled("Enough.")

    monkeypatch.setattr(pool.select, "poll", _WordAtOnce)
    with pytest.raises(Cancelled):
        read(hostile.pages_of([hostile.words(b"Page %d." % at) for at in range(12)]), "a.pdf", stop)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGBUS])
def test_a_reader_that_crashes_costs_its_page(number: int) -> None:
    def crash(at: str) -> None:
        for reader in readers() if at else ():
            reader.send_signal(number)

    drawn = hang(crash)
    assert isinstance(drawn, Skipped) and drawn.reason == "page 1 ends the process that is to draw it"
    assert isinstance(read(), Source)


def test_a_page_that_crashes_its_reader_is_passed_over() -> None:
    def crash(at: str) -> None:
        for reader in readers() if at == "a.pdf, page 2" else ():
            reader.kill()

    found = read(hostile.tiny_pattern_on_one_of(2, bad=1), "a.pdf", crash)
    steps = ("read", "draw")  # whichever it is at by then
    said = [f"Page 2 ends the process that is to {step} it: left out." for step in steps]
    assert isinstance(found, Source) and any(each in found.notes for each in said)


def test_a_reader_that_is_stopped_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    read()  # a reader that has all loaded
    monkeypatch.setattr(limits, "STEP_S", 1.0)
    drawn = hang(lambda at: readers()[0].suspend() if at else None)
    assert isinstance(drawn, Skipped) and drawn.reason == "page 1 takes too long to draw"
    until(lambda: not readers())


@pytest.mark.parametrize("how", ["killed", "left"])
def test_a_reader_that_ended_while_it_was_idle_is_replaced(how: str) -> None:
    read()
    (first,) = readers()
    first.send_signal(signal.SIGKILL if how == "killed" else signal.SIGTERM)
    assert isinstance(read(), Source)
    assert first not in readers()


def test_one_that_has_grown_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TOLD", (*limits.TOLD, "SHED_BYTES"))
    monkeypatch.setattr(limits, "SHED_BYTES", 1)
    assert isinstance(read(), Source) and readers() == []
    assert isinstance(read(), Source)


def test_no_more_readers_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_READERS", 2)
    n_seen: list[int] = []
    threads = [Thread(target=lambda: [read() for _ in range(3)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        n_seen.append(len(readers()))
    assert 0 < max(n_seen) <= 2


def test_no_process_to_be_had_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(pool.subprocess, "Popen", refuse)
    found = read()
    assert isinstance(found, Skipped) and found.cause is Cause.UNREADABLE
    assert found.reason == "the process that reads it cannot be started (Resource temporarily unavailable)"


def test_a_reader_ends_with_whoever_started_it() -> None:
    code = (
        "from tests.engine.corpus.readers.test_pool import hang, readers\n"
        "hang(lambda at: print(readers()[0].pid, flush=True))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[4])
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_what_was_left_out_is_not_kept_as_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may pass over what it reads another time."""
    file = tmp_path / "in" / "a.pdf"
    file.parent.mkdir()
    file.write_bytes(PAGE)
    os.utime(file, (1_700_000_000, 1_700_000_000))
    reads: list[bool] = []

    def seen(*, is_partial: bool) -> None:
        readings = Readings(KeptFiles(tmp_path / "kept", 1 << 20), now_ns=lambda: time.time_ns() + 10**12)
        place = readings.place(f"{file.parent}/", Rules())
        assert place is not None

        def read_it() -> Source | Skipped:
            reads.append(True)
            found = read(file.read_bytes())
            return found.changed(is_partial=is_partial) if isinstance(found, Source) else found

        place.see(str(file), "a.pdf", read_it, included=False, status_of=os.lstat)
        readings.save()

    for is_partial in (True, False, False):
        seen(is_partial=is_partial)
    assert len(reads) == 2


@pytest.mark.parametrize(
    "ask",
    [
        lambda: read(),
        lambda: apart.draw_page("a.pdf", PAGE, 1, 100),
        lambda: apart.find_words(KeptFile("PDF", PAGE), number=1, words="rent"),
        lambda: apart.is_plain(KeptFile("PNG", hostile.png()), 8, 8),
        lambda: apart.encoded("PNG", Pixels(2, 2, bytes(12))),
    ],
    ids=["read", "page", "words", "plain", "encoded"],
)
def test_what_is_asked_besides_is_asked_of_a_reader(ask: Callable[[], object]) -> None:
    found = ask()
    assert found and not isinstance(found, Skipped)
    assert len(readers()) == 1
