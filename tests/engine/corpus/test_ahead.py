"""Files read while the ones before them are worked on: the same as one after the other, and ended when nobody waits."""

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Barrier, Lock
from threading import Event as Flag

import pytest
from PIL import Image

from engine.corpus.ahead import Ahead
from engine.corpus.collect import collect
from engine.corpus.formats.apart import POOL
from engine.corpus.formats.format import Waiting
from engine.corpus.readings import Readings
from engine.corpus.source import Corpus, Skipped, Source
from engine.corpus.unread import UnreadSource
from engine.corpus.walk.held import Held, open_given
from engine.kept_files import KeptFiles
from tests import hostile
from tests.patience import PATIENCE_S

Reading = Callable[[Waiting], str]


class Stop(Exception):
    pass


def wait_only(at: str) -> None:
    pass


def here(waiting: Waiting) -> str:
    return "read here"


def said(name: str) -> Reading:
    return lambda waiting: f"{name} was read"


def no_threads() -> bool:
    return not any(thread.name.startswith("reading-ahead") for thread in threading.enumerate())


@pytest.mark.parametrize("n_files", [2, 3, 23, 24, 60])
def test_the_order_is_that_of_the_files(n_files: int) -> None:
    names = [f"{at}.png" for at in range(n_files)]
    with Ahead(wait_only, [(name, said(name)) for name in names]) as ahead:
        assert [ahead.take(name, here) for name in names] == [f"{name} was read" for name in names]
    assert no_threads()


def test_one_alone_is_read_here() -> None:
    with Ahead(wait_only, [("a.png", said("a.png"))]) as ahead:
        assert ahead.take("a.png", here) == "read here"


def test_what_is_not_expected_is_read_here() -> None:
    with Ahead(wait_only, [("a.png", said("a.png")), ("c.png", said("c.png"))]) as ahead:
        assert ahead.take("a.png", here) == "a.png was read"
        assert ahead.take("b.txt", here) == "read here"
        assert ahead.take("c.png", here) == "c.png was read"
        assert ahead.take("d.txt", here) == "read here"


def test_the_next_is_read_while_this_one_is_worked_on() -> None:
    begun = Flag()

    def second(waiting: Waiting) -> str:
        begun.set()
        return "b"

    with Ahead(wait_only, [("a", said("a")), ("b", second), ("c", said("c"))]) as ahead:
        ahead.take("a", here)
        assert begun.wait(PATIENCE_S)


@pytest.mark.parametrize(("n_files", "n_at_once"), [(10, 1), (40, 2)])
def test_so_many_at_once(n_files: int, n_at_once: int) -> None:
    lock, now, most = Lock(), [0], [0]
    together = Barrier(n_at_once)

    def read(waiting: Waiting) -> str:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        together.wait(PATIENCE_S)
        with lock:
            now[0] -= 1
        return ""

    with Ahead(wait_only, [(str(at), read) for at in range(n_files)]) as ahead:
        for at in range(n_files):
            ahead.take(str(at), here)
    assert most == [n_at_once]


def test_no_more_is_read_than_will_soon_be_taken() -> None:
    begun: list[str] = []

    def read(name: str, waiting: Waiting) -> str:
        begun.append(name)
        return name

    with Ahead(wait_only, [(str(at), partial(read, str(at))) for at in range(100)]) as ahead:
        for at in range(10):
            ahead.take(str(at), here)
    assert len(begun) <= 10 + 3


def test_what_a_reading_raises_is_raised_where_it_is_taken() -> None:
    def fails(waiting: Waiting) -> str:
        raise OSError("gone")

    with Ahead(wait_only, [("a", said("a")), ("b", fails), ("c", said("c"))]) as ahead:
        ahead.take("a", here)
        with pytest.raises(OSError, match="gone"):
            ahead.take("b", here)
        assert ahead.take("c", here) == "c was read"


def test_who_waits_is_told_what_is_looked_at_and_may_stop() -> None:
    told, ended = [], []

    def endless(waiting: Waiting) -> str:
        try:
            while True:
                waiting("b.pdf, page 7")
                Flag().wait(0.001)
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    def stop(at: str) -> None:
        told.append(at)
        if at == "b.pdf, page 7":
            raise Stop

    with pytest.raises(Stop), Ahead(stop, [("a.pdf", said("a")), ("b.pdf", endless), ("c.pdf", endless)]) as ahead:
        ahead.take("a.pdf", here)
        ahead.take("b.pdf", here)
    assert told[-1] == "b.pdf, page 7" and ended and no_threads()


def test_nothing_is_waited_for_once_somebody_gave_up() -> None:
    def endless(waiting: Waiting) -> str:
        while True:
            waiting("")
            Flag().wait(0.001)

    with pytest.raises(KeyboardInterrupt), Ahead(wait_only, [("a", endless), ("b", endless)]):
        raise KeyboardInterrupt
    assert no_threads()


def test_where_no_thread_is_to_be_had_all_is_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    names = [f"{at}.png" for at in range(30)]
    with Ahead(wait_only, [(name, said(name)) for name in names]) as ahead:
        assert [ahead.take(name, here) for name in names] == ["read here"] * 30


def folder_of_images(folder: Path, n_images: int) -> Path:
    for at in range(n_images):
        (folder / f"d{at % 3}").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40 + at, 30), (at, 0, 0)).save(folder / f"d{at % 3}" / f"{at}.png")
    (folder / "d1" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (folder / "d1" / "empty.jpg").touch()
    (folder / "d2" / "words.txt").write_text("words\n")
    (folder / "d2" / "called.png").write_text("text that is called an image\n")
    return folder


def test_a_folder_of_images_is_what_it_is_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of_images(tmp_path / "images", 30)
    came: list[Source | Skipped] = []
    ahead = collect([folder], on_file=came.append)
    monkeypatch.setattr("engine.corpus.collect.is_apart", lambda path: False)
    one_by_one: list[Source | Skipped] = []
    assert collect([folder], on_file=one_by_one.append) == ahead
    assert came == one_by_one and len(came) == 34


def test_a_reading_of_images_can_be_stopped(tmp_path: Path) -> None:
    folder, came = folder_of_images(tmp_path / "images", 30), []

    def stop(found: Source | Skipped) -> None:
        came.append(found)
        if len(came) == 5:
            raise Stop

    with pytest.raises(Stop):
        collect([folder], on_file=stop)
    assert no_threads()


def test_a_held_folder_serves_several_threads(tmp_path: Path) -> None:
    for at in range(40):
        (tmp_path / f"d{at % 7}" / f"e{at % 3}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"d{at % 7}" / f"e{at % 3}" / f"{at}.txt").write_text(str(at))
    given, wrong = open_given(tmp_path), []
    with Held(given.path, given.descriptor) as held:

        def look(first: int) -> None:
            for turn in range(300):
                at = (first * 11 + turn * 17) % 40
                where = f"{given.path}/d{at % 7}/e{at % 3}/{at}.txt"
                if held.read_small(where, 10) != str(at).encode() or held.status(where).st_size != len(str(at)):
                    wrong.append(at)

        threads = [threading.Thread(target=look, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.parametrize("n_images", [3, 30])
def test_what_is_known_can_be_read_long_after(n_images: int, tmp_path: Path) -> None:
    """Its text and its bytes are asked for once a question is, in whatever thread: nobody waits in the folder then."""
    folder = folder_of_images(tmp_path / "images", n_images)
    for at in range(3):
        (folder / f"{at}.pdf").write_bytes(hostile.one_page(hostile.words(b"Page %d of the agreement." % at)))
    files = KeptFiles(tmp_path / "kept", 1 << 24)

    def count(told: list[str]) -> Corpus:
        later = Readings(files, now_ns=lambda: time.time_ns() + 10**12)
        return collect([folder], readings=later, on_wait=told.append)

    fresh, told = count([]), list[str]()
    known = count(told)
    read = [source for source in known.sources if isinstance(source, UnreadSource)]
    assert len(read) == len(known.sources)
    for source, first in zip(known.sources, fresh.sources, strict=True):
        POOL.close()  # a reader that has to start is waited for
        assert source.text == first.text
        assert (source.kept_file and source.kept_file.data) == (first.kept_file and first.kept_file.data)
    assert known == fresh
    assert {"0.pdf", "1.pdf", "2.pdf"} <= {at.partition(",")[0] for at in told}, "who waits is told, and may stop"


def test_what_is_known_can_be_read_after_a_reading_that_was_stopped(tmp_path: Path) -> None:
    folder, came = folder_of_images(tmp_path / "images", 6), list[Source | Skipped]()
    files = KeptFiles(tmp_path / "kept", 1 << 24)

    def readings() -> Readings:
        return Readings(files, now_ns=lambda: time.time_ns() + 10**12)

    def stop(found: Source | Skipped) -> None:
        came.append(found)
        if len(came) == 7:
            raise Stop

    collect([folder], readings=readings())
    with pytest.raises(Stop):
        collect([folder], readings=readings(), on_file=stop)
    POOL.close()
    assert all(one.kept_file.data for one in came if isinstance(one, Source) and one.kept_file)
