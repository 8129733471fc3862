"""How much of a prompt is said to be kept, before it is asked, is what the engine then reuses: on three attentions."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag

import llama_cpp
import pytest

from app.desk import Desk
from app.question import Answered, Question
from app.settings import Settings
from engine.runtime import state_file
from engine.runtime.checkpoint import Speeds
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT
from tests.models.shape import ONE_HEAD

MODELS = {"llama": {}, "gemma3": {"n_window": 128}, "scout": {**SMALL_SCOUT, **ONE_HEAD}}


@pytest.fixture(params=MODELS)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", model=str(cached(request.param, **MODELS[request.param])), reply_tokens=24)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(3):
        lines = (f"part {number}, line {line}: the harbour opens at {line % 9}\n" for line in range(40))
        (folder / f"{number}.txt").write_text("".join(lines))
    return folder


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    desk = Desk(settings)
    yield desk
    desk.close()


def foretold_and_reused(desk: Desk, session: str, text: str) -> tuple[int | None, int | None]:
    foretold = desk.preview(session, text).reused_tokens
    *_, end = desk.ask(Question(text=text, session=session), cancel=Flag())
    assert isinstance(end, Answered) and end.turn.error is None
    return foretold, end.turn.reused_tokens


def begin(desk: Desk, corpus: Path) -> str:
    session = desk.begin_session("kept").id
    desk.add_sources(session, desk.read([corpus]))
    return session


@pytest.mark.slow
def test_what_is_foretold_is_what_is_reused(settings: Settings, desk: Desk, corpus: Path) -> None:
    """Of a follow-up, of a new session on the same corpus, and of both after a restart."""
    first = begin(desk, corpus)
    assert foretold_and_reused(desk, first, "Which harbour?") == (0, 0)
    at_once = [foretold_and_reused(desk, first, "And when?"), foretold_and_reused(desk, begin(desk, corpus), "Who?")]
    desk.save()
    desk.close()
    again = Desk(settings)
    try:
        later = [foretold_and_reused(again, begin(again, corpus), "What?")]
        later.append(foretold_and_reused(again, first, "And where?"))
    finally:
        again.close()
    for foretold, reused in (*at_once, *later):
        assert foretold and reused and abs(foretold - reused) <= 1, (at_once, later)


def test_the_files_head_is_llama_cpps() -> None:
    known = (llama_cpp.LLAMA_STATE_SEQ_MAGIC, llama_cpp.LLAMA_STATE_SEQ_VERSION)
    assert known == state_file._KNOWN, "this llama.cpp writes another format: look at how it differs"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tokens_per_s", "n_kept", "shares_reused"), [(50.0, (2, 4), (0.25, 1.0)), (1e6, (1, 1), (0.0, 0.1))]
)
def test_where_windows_slide_some_beginnings_stay(
    tmp_path: Path, corpus: Path, tokens_per_s: float, n_kept: tuple[int, int], shares_reused: tuple[float, float]
) -> None:
    """So that an edit within the corpus does not cost all of it. They are checkpoints of a prefill that is long."""
    for number in range(3):
        lines = (f"part {number}, line {line}: the harbour opens at {line % 9}\n" for line in range(90))
        (corpus / f"{number}.txt").write_text("".join(lines))
    settings = Settings(home=tmp_path / "home", model=str(cached("gemma3", n_window=128)), reply_tokens=8)
    desk = Desk(settings, speeds=Speeds(tokens_per_s=tokens_per_s))
    try:
        session = begin(desk, corpus)
        foretold_and_reused(desk, session, "Which harbour?")
        desk.save()
        held = [kept.n_tokens for kept in desk.saved.kept().snapshots]
        last = (corpus / "2.txt").read_text()
        (corpus / "2.txt").write_text(last.replace("line 45", "line of the edit"))
        desk.add_sources(session, desk.read([corpus]))
        foretold, reused = foretold_and_reused(desk, session, "And now?")
        prompt = desk.preview(session).prompt.n_tokens
    finally:
        desk.close()
    assert n_kept[0] <= len(held) <= n_kept[1], held
    assert foretold == reused is not None, (held, foretold, reused)
    assert shares_reused[0] * prompt <= reused < shares_reused[1] * prompt, (held, reused, prompt)
