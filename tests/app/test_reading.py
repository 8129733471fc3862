"""Reading a corpus: what is told of it while it comes, its ids meanwhile, and how it is stopped."""

import io
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest

from app.cli.output.count import line_of, show_reading
from app.reading import Doing, Progress, Reading, read, read_to_count
from app.settings import Settings
from engine.backend import Source
from engine.corpus.rules import Rules
from engine.corpus.source import digest_text
from engine.errors import ModelRefused
from tests.fake_backend import FakeBackend

LONG = "word " * 900_000  # as many characters as are encoded at once


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "corpus"
    root.mkdir()
    for at in range(6):
        (root / f"{at}.txt").write_text(f"{at} {LONG}")
    (root / "none.txt").write_text("")
    return root


def source(text: str, path: str = "a") -> Source:
    return Source(path, "text", text, len(text), digest_text(text))


class Noting(FakeBackend):
    """Notes what was encoded ahead; waits before each where it is told to."""

    def __init__(self, gate: Event | None = None) -> None:
        super().__init__()
        self.gate, self.reached = gate, Event()
        self.ahead: list[str] = []

    def encode_ahead(self, sources: Sequence[Source]) -> None:
        self.ahead += [source.path for source in sources]
        self.reached.set()
        if self.gate is not None:
            self.gate.wait()


def test_each_file_is_told_of_with_its_name_and_what_was_read_so_far(folder: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    read([folder], Rules(), Settings(home=tmp_path / "home"), Noting, tell=told.append)
    found, told = told[:7], told[7:]
    assert {each.doing for each in found} == {Doing.FINDING} and {each.doing for each in told} == {Doing.READING}
    for each in (found, told):
        assert [one.path for one in each] == [*(f"{at}.txt" for at in range(6)), "none.txt"]
        assert [one.n_files for one in each] == list(range(1, 8))
    assert {each.n_total for each in told} == {7}
    assert told[0].n_bytes == len(LONG) + 2 and told[-1].n_bytes == 6 * (len(LONG) + 2)
    assert all(a.seconds <= b.seconds for a, b in zip(told, told[1:], strict=False))


def test_ids_are_made_while_files_are_read(folder: Path, tmp_path: Path) -> None:
    """The first files are being encoded before the last are read."""
    gate = Event()
    backend = Noting(gate)

    def tell(progress: Progress) -> None:
        if progress.path == "none.txt" and progress.doing is Doing.READING:
            assert backend.reached.wait(60)
            gate.set()

    read_to_count([folder], Rules(), Settings(home=tmp_path / "home"), backend, tell=tell)
    assert backend.ahead == [f"{at}.txt" for at in range(6)]


def test_what_is_known_is_not_encoded_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.corpus.readings.is_settled", lambda status, begun_ns: True)
    settings = Settings(home=tmp_path / "home")
    read_to_count([folder], Rules(), settings, Noting())
    again = Noting()
    corpus = read_to_count([folder], Rules(), settings, again)
    assert again.ahead == [] and len(corpus.sources) == 6
    (folder / "3.txt").write_text(f"3 3 {LONG}")
    read_to_count([folder], Rules(), settings, again)
    assert again.ahead == ["3.txt"]
    read_to_count([folder], Rules(), settings, again, read_again=True)
    assert len(again.ahead) == 7


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_stop_reads_no_further_file_and_begins_no_further_ids(
    folder: Path, tmp_path: Path, stop: type[BaseException]
) -> None:
    gate, told = Event(), list[str]()
    backend = Noting(gate)

    def tell(progress: Progress) -> None:
        if progress.doing is Doing.FINDING:
            return
        told.append(progress.path)
        if progress.path == "3.txt":
            assert backend.reached.wait(60)  # the first are being encoded, the next ones wait
            gate.set()
            raise stop

    with pytest.raises(stop):
        read_to_count([folder], Rules(), Settings(home=tmp_path / "home"), backend, tell=tell)
    assert told == ["0.txt", "1.txt", "2.txt", "3.txt"]
    assert not list((tmp_path / "home").rglob("*.part"))


def test_a_stop_waits_for_nothing_that_has_not_begun() -> None:
    gate = Event()
    backend = Noting(gate)
    reading = Reading(backend.encode_ahead)

    def open_gate() -> None:
        """Once the ids that have not begun are given up."""
        while not reading._encoding[-1].done.cancelled():
            time.sleep(0.01)
        gate.set()

    with pytest.raises(KeyboardInterrupt), reading:
        for at in range(5):
            reading.take(source(LONG, str(at)))
        assert backend.reached.wait(60)
        Thread(target=open_gate, daemon=True).start()
        raise KeyboardInterrupt
    assert backend.ahead == ["0"]


def test_what_goes_wrong_with_ids_is_not_lost() -> None:
    def broken(sources: Sequence[Source]) -> None:
        raise RuntimeError("the encoder died")

    with pytest.raises(RuntimeError, match="the encoder died"), Reading(broken) as reading:
        reading.take(source(LONG))


def test_the_wait_for_ids_is_told_of_and_can_be_stopped() -> None:
    gate, told = Event(), list[Progress]()
    backend = Noting(gate)

    def tell(progress: Progress) -> None:
        told.append(progress)
        if progress.doing is Doing.COUNTING:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Reading(backend.encode_ahead, tell) as reading:
        reading.take(source(LONG, "0"))
        reading.take(source(LONG, "1"))
    gate.set()
    assert [each.doing for each in told] == [Doing.READING, Doing.READING, Doing.COUNTING]
    assert (told[-1].n_files, told[-1].n_total) == (0, 2) and told[-1].share == 0.0


def test_a_corpus_that_is_read_has_ids_to_the_last_file_and_one_that_is_counted_leaves_few_to_whoever_counts() -> None:
    for to_the_last, ahead in ((True, ["0", "1", "little"]), (False, ["0", "1"])):
        backend = Noting()
        with Reading(backend.encode_ahead, to_the_last=to_the_last) as reading:
            for path, text in (("0", LONG), ("1", LONG), ("little", "a few words")):
                reading.take(source(text, path))
        assert backend.ahead == ahead


def test_a_model_that_cannot_count_does_not_keep_a_corpus_from_being_read(folder: Path, tmp_path: Path) -> None:
    def refused() -> FakeBackend:
        raise ModelRefused("There is no such model.")

    assert len(read([folder], Rules(), Settings(home=tmp_path / "home"), refused).sources) == 6


def test_of_how_many_files_and_how_long_is_left() -> None:
    progress = Progress(n_files=1_000, n_bytes=12_900_000, seconds=2.0, path="src/core.py", n_total=4_000)
    assert progress.share == 0.25 and progress.left_s == 6.0
    assert replace(progress, seconds=0.5).left_s is None, "too early to tell"
    assert replace(progress, n_total=None).share is None and replace(progress, n_total=None).left_s is None
    assert replace(progress, doing=Doing.FINDING).share is None
    assert replace(progress, n_files=4_001).share == 1.0


def test_the_line_on_a_terminal() -> None:
    progress = Progress(n_files=1_204, n_bytes=12_900_000, seconds=0.25, path="src/core.py")
    assert line_of(progress) == "Reading 1,204 files · 12.3 MiB · 49.2 MiB/s · src/core.py"
    assert Progress(0, 0, 0.0, "").bytes_per_s == 0.0
    progress = replace(progress, seconds=2.0, n_total=4_000)
    assert line_of(progress) == "Reading 1,204 of 4,000 files · 12.3 MiB · 6.2 MiB/s · 5 s left · src/core.py"
    assert line_of(replace(progress, doing=Doing.FINDING)) == "Looking for files · 1,204 found · src/core.py"
    assert line_of(replace(progress, doing=Doing.COUNTING)) == "Counting tokens · 1,204 of 4,000 files · 5 s left"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_is_written_over_and_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    with show_reading() as tell:
        assert tell is not None
        tell(Progress(1, 10, 0.1, "too soon to be worth a line"))
        assert terminal.getvalue() == ""
        tell(Progress(2, 20, 1.0, "a/very/long/path/that/does/not/fit.py"))
        assert terminal.getvalue() == "\rReading 2 files · 20 B · 20 B/s · a/ver"
    assert terminal.getvalue().endswith(f"\r{'':<39}\r")
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with show_reading() as tell:
        assert tell is None
