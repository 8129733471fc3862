"""Ten sessions over three corpora, switched at random, with little room on the disk: every answer is a fresh one's."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest

from app.desk import Desk
from app.kv.disk import Room, Tier
from app.question import Answered, Notice, Question
from app.settings import Settings
from engine.local.process import EngineProcess, SavedState
from engine.runtime.checkpoint import Speeds
from storage.records import Turn
from tests.fresh import Asked, compare
from tests.models.cache import cached

N_SESSIONS, N_QUESTIONS, N_REPLY, SEED = 10, 50, 8, 4
WINDOW = 128  # tokens: each corpus is many windows long
N_LINES = (40, 60, 80)  # of the three corpora: 1,000 to 1,900 tokens
BUDGET_BYTES = 5 << 20  # a state takes 0.6 to 0.9 MB
SLOW, FAST = Speeds(tokens_per_s=50.0), Speeds(tokens_per_s=5_000.0)  # a corpus takes half a minute, or half a second
_WORDS = ("harbour", "letter", "winter", "engine", "window", "garden", "paper", "market", "river", "captain")


@dataclass(slots=True)
class Watch:
    """The most bytes that ever lay in a folder."""

    folder: Path
    most_bytes: int = 0

    def look(self) -> None:
        self.most_bytes = max(self.most_bytes, sum(path.stat().st_size for path in self.folder.iterdir()))


@contextmanager
def watching(folder: Path) -> Iterator[Watch]:
    """Looks at a folder whenever most lies in it: when a state has been written, and none has gone for it yet."""
    watch, save = Watch(folder), EngineProcess.save

    def save_and_look(engine: EngineProcess, *what: Any) -> SavedState | None:
        saved = save(engine, *what)
        watch.look()
        return saved

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EngineProcess, "save", save_and_look)
        yield watch


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored turn, the prompt that it answers, and the notices on the way to it."""

    turn: Turn
    prompt: tuple[int, ...]
    notices: tuple[str, ...]


class Working:
    """Sessions over a few folders, asked one after the other."""

    def __init__(self, folder: Path, model: Path, speeds: Speeds = FAST) -> None:
        home = folder / "home"
        settings = Settings(
            home=home, model=str(model), reply_tokens=N_REPLY, n_threads=1, snapshot_budget=BUDGET_BYTES
        )
        self.desk = Desk(settings, speeds=speeds)
        self._random = random.Random(SEED)
        self._corpora = [self._corpus(folder / f"corpus{number}", size) for number, size in enumerate(N_LINES)]
        self._sessions = [self._begin(number) for number in range(N_SESSIONS)]

    def _corpus(self, folder: Path, n_lines: int) -> Path:
        folder.mkdir()
        for number in range(4):
            lines = (" ".join(self._random.choices(_WORDS, k=8)) for _ in range(n_lines // 4))
            (folder / f"{number}.txt").write_text("\n".join(lines) + "\n")
        return folder

    def _begin(self, number: int) -> str:
        session = self.desk.begin_session(f"Session {number}")
        self.desk.add_sources(session.id, self.desk.read([self._corpora[number % len(self._corpora)]]))
        return session.id

    def ask(self, number: int) -> Answer:
        """A question in one of them, whichever."""
        session, question = self._random.choice(self._sessions), f"Question {number}: who speaks of the harbour?"
        prompt = tuple(self.desk.preview(session, question).prompt.ids().tolist())
        *events, end = self.desk.ask(Question(text=question, session=session), cancel=Flag())
        assert isinstance(end, Answered)
        notices = tuple(event.text for event in events if isinstance(event, Notice))
        return Answer(end.turn, prompt, notices)


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Room]]:
    """Each state that was to be written: the bytes that were asked for it, and what came of that."""
    asked: list[tuple[int, Room]] = []
    keep = Tier.keep

    def listen(tier: Tier, n_bytes: int, **options: Any) -> Room:
        asked.append((n_bytes, keep(tier, n_bytes, **options)))
        return asked[-1][1]

    monkeypatch.setattr(Tier, "keep", listen)
    return asked


@pytest.mark.slow
def test_every_answer_equals_a_fresh_one_and_the_budget_is_never_passed(
    tmp_path: Path, rooms: list[tuple[int, Room]]
) -> None:
    model = cached("gemma3", n_window=WINDOW)
    working = Working(tmp_path, model)
    with watching(tmp_path / "home" / "snapshots") as watch:
        try:
            answers = [working.ask(number) for number in range(N_QUESTIONS)]
        finally:
            working.desk.close()

    assert 0.5 * BUDGET_BYTES < watch.most_bytes <= BUDGET_BYTES
    assert sum(len(room.evicted) for _, room in rooms) >= 5
    assert [room.refusal for _, room in rooms if room.refusal] == []
    assert {answer.turn.stop for answer in answers} <= {"length", "end"}
    assert not any("not used" in notice or "not kept" in notice for answer in answers for notice in answer.notices)

    compared = compare(model, [Asked(answer.prompt, answer.turn.reply_ids) for answer in answers])
    assert [each for each in compared if not each.holds] == []
    assert sum(each.equal for each in compared) >= 45
    reused = [answer.turn.reused_tokens or 0 for answer in answers]
    assert sum(reused) > 0.7 * sum(each.n_tokens for each in compared), "or being equal would be no wonder"


@pytest.mark.slow  # 1.4 s
@pytest.mark.parametrize(
    ("name", "changes"), [("gemma3", {"n_window": WINDOW}), ("gemma3", {}), ("llama", {})], ids=str
)
def test_the_room_that_is_made_for_a_state_is_enough_and_little_more(
    name: str, changes: dict[str, int], tmp_path: Path, rooms: list[tuple[int, Room]]
) -> None:
    """Also in a context that is hardly filled, where windows are most of a state."""
    working = Working(tmp_path, cached(name, **changes))
    working.ask(0)
    working.desk.close()
    [state] = (tmp_path / "home" / "snapshots").iterdir()
    asked, _ = rooms[-1]
    assert 0.9 * asked <= state.stat().st_size <= asked


@pytest.mark.slow  # 1.4 s
def test_the_room_for_checkpoints_is_given_back_when_the_answer_is_there(
    tmp_path: Path, rooms: list[tuple[int, Room]]
) -> None:
    """Or a page that runs for days would keep it from all others."""
    working = Working(tmp_path, cached("llama"), speeds=SLOW)
    try:
        working.ask(0)
        assert rooms and rooms[0][1].refusal is None
        everyone_else = working.desk.saved  # another reservation than the engine's own
        assert everyone_else.keep(BUDGET_BYTES).refusal is None and everyone_else.keep(BUDGET_BYTES + 1).refusal
    finally:
        working.desk.close()
