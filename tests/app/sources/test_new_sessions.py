"""New sessions on a corpus that an earlier one has read: what is as it was stays in front, and is not read again."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.question import Answered, Question
from app.settings import Settings
from app.sources.joining import arrange, arrived, join_session
from engine.corpus.rules import Rules
from engine.corpus.source import Corpus, Source, digest_text
from engine.prompt.prompt import Part, Segment
from storage.store import Store
from tests.engine.corpus.test_order import Git, git, needs_git
from tests.work import calls, instructions

__all__ = ["git"]
LONG_AGO = 1_000_000_000


@pytest.fixture
def desk(tmp_path: Path, llama_gguf: Path) -> Iterator[Desk]:
    desk = Desk(Settings(home=tmp_path / "home", model=str(llama_gguf), reply_tokens=8))
    yield desk
    desk.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(5):
        write(folder, number, "as it was", LONG_AGO)
    return folder


def write(folder: Path, number: int, words: str, at: float) -> None:
    path = folder / f"{number}.txt"
    path.write_text("".join(f"part {number}, line {line}, {words}\n" for line in range(30)))
    os.utime(path, (at, at))


class Asked:
    """A question in a new session on a folder: what its prompt begins with, and what of it was not read."""

    def __init__(self, desk: Desk, folder: Path, rules: Rules = Rules()) -> None:
        read = desk.read([folder], rules)
        assert desk.count(read).prompt.ids().tolist()  # as the command line does first
        question = Question(text="How many?", corpus=read)
        *_, end = desk.ask(question, cancel=Flag())
        assert isinstance(end, Answered)
        self.turn = end.turn
        self._segments = desk.preview(end.turn.session_id).prompt.segments
        self.order = [segment.path for segment in self._segments if segment.part is Part.SOURCE]

    def tokens_before(self, path: str) -> int:
        """What stands before a source in the prompt."""
        total = 0
        for segment in self._segments:
            if is_of(segment, path):
                break
            total += len(segment.ids)
        return total

    @property
    def reused(self) -> int:
        return self.turn.reused_tokens or 0


def is_of(segment: Segment, path: str) -> bool:
    return segment.part is Part.SOURCE and segment.path == path


@pytest.mark.slow  # 2.2 s
def test_an_edit_leaves_what_stands_before_it(desk: Desk, folder: Path) -> None:
    first = Asked(desk, folder)
    assert first.order == ["0.txt", "1.txt", "2.txt", "3.txt", "4.txt"]
    write(folder, 2, "edited", LONG_AGO + 1_000)
    second = Asked(desk, folder)
    assert second.order == ["0.txt", "1.txt", "3.txt", "4.txt", "2.txt"]
    assert second.reused >= second.tokens_before("3.txt") > 0.3 * (second.turn.prompt_tokens or 0)
    write(folder, 2, "edited again", LONG_AGO + 2_000)
    third = Asked(desk, folder)
    assert third.order == second.order and third.reused >= third.tokens_before("2.txt")


@pytest.mark.slow  # 2.1 s
def test_what_an_edit_moved_back_is_found_again(desk: Desk, folder: Path) -> None:
    """Between two states of a folder, as branches are: each has its own order, and both are kept."""
    first = Asked(desk, folder)
    write(folder, 1, "edited", LONG_AGO + 1_000)
    Asked(desk, folder)
    write(folder, 1, "as it was", LONG_AGO + 2_000)
    back = Asked(desk, folder)
    assert back.order == first.order and back.reused >= back.tokens_before("4.txt")


@pytest.mark.slow  # 2.3 s
def test_new_files_go_behind_and_what_is_excluded_cuts_the_beginning(desk: Desk, folder: Path) -> None:
    write(folder, 0, "written last", LONG_AGO + 1_000)
    first = Asked(desk, folder)
    assert first.order == ["1.txt", "2.txt", "3.txt", "4.txt", "0.txt"]
    write(folder, 9, "new, and older than some", LONG_AGO)
    more = Asked(desk, folder)
    assert more.order == [*first.order, "9.txt"]
    assert more.reused >= more.tokens_before("9.txt")
    fewer = Asked(desk, folder, Rules(exclude=("3.txt",)))
    assert fewer.order[:2] == ["1.txt", "2.txt"] and fewer.reused >= fewer.tokens_before("4.txt")


@pytest.mark.slow  # 2.1 s
@needs_git
def test_in_a_checkout_commits_do_not_move_what_stayed(desk: Desk, folder: Path, git: Git) -> None:
    git(folder, "init", "-q")

    def commit(number: int, words: str) -> None:
        write(folder, number, words, time.time())
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", words)

    for number in range(5):
        commit(number, "written")
    commit(1, "edited")
    commit(4, "edited")
    first = Asked(desk, folder)
    edited = first.order[2]
    for time_ in range(3):
        commit(int(edited[0]), f"edited {time_} times")
    second = Asked(desk, folder)
    assert second.order[:2] == first.order[:2] and second.order[-1] == edited
    assert second.reused >= second.tokens_before(second.order[2])


def sources(*texts: str) -> tuple[Source, ...]:
    return tuple(
        Source(f"{at:05}.txt", "text", text, len(text), digest_text(text), volatility=float(-at))
        for at, text in enumerate(texts)
    )


def test_of_two_folders_the_second_goes_on_as_an_earlier_session_does(tmp_path: Path) -> None:
    """As the page has it: one after the other."""
    every = sources(*"abcdef")
    with Store(tmp_path) as store:
        earlier, now = (store.sessions.create(title="t", model="m").id for _ in range(2))
        store.sources.put(earlier, every, turn_index=0)
        for part in (every[:2], every[2:]):
            store.sources.take_in(now, arrived(join_session(store.sources, now, Corpus(part)), (), turn_index=0))
        assert [link.path for link in store.sources.links(now)] == [source.path for source in every]


def begin_many(store: Store, n_sources: int) -> tuple[Source, ...]:
    """So many sources; twelve sessions begin with three fifths of them, each with one more than the one before."""
    every = sources(*(f"{n_sources} {at}" for at in range(n_sources)))
    for number in range(12):
        session = store.sessions.create(title="t", model="m").id
        store.sources.put(session, every[: n_sources * 3 // 5 + number], turn_index=0)
    return every


@pytest.mark.slow  # 1.7 s
def test_thousands_of_files_and_many_sessions_are_looked_through_at_once(tmp_path: Path) -> None:
    """Ten times as many take ten times as much."""

    def cost(store: Store, n_sources: int) -> tuple[int, int]:
        every, begun = begin_many(store, n_sources), n_sources * 3 // 5
        arranged = arrange(store.sources, every)
        begun += 11
        assert arranged[:begun] == every[:begun] and arranged[begun:] == every[: begun - 1 : -1]
        n_instructions = instructions(store, lambda: arrange(store.sources, every))
        return calls(lambda: arrange(store.sources, every)), n_instructions

    with Store(tmp_path) as store:
        for few, many in zip(cost(store, 500), cost(store, 5_000), strict=True):
            assert many < 11 * few
