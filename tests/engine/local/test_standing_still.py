"""An engine whose process is stopped from outside: every wait for it ends, it is said, and the next one answers.

How long one waits is cut short only once the process stands still, so that no test hangs on how fast a machine is.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.question import Answered, Question
from app.settings import Settings
from engine.backend import Corpus, Text
from engine.corpus.source import Source
from engine.errors import EngineKilled
from engine.local.process import EngineProcess
from engine.memory.budget import Placement
from engine.runtime.events import Finished, Prefill, Sampling
from engine.runtime.quotes.text import Documents
from engine.runtime.settings import EngineSettings
from engine.watching import EnginePatience, Patience
from tests.engine.local.test_engine_process import BINDING, prompt_of, random_ids
from tests.patience import until

LONG = Sampling(max_tokens=2_000)


@pytest.fixture
def llama(llama_gguf: Path) -> Iterator[EngineProcess]:
    engine = EngineProcess(EngineSettings(model=llama_gguf, placement=Placement(n_ctx=4096, n_ubatch=64)))
    yield engine
    engine.close()


def stand_still(engine: EngineProcess) -> None:
    """Stops its process, and has nobody wait for it for long."""
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    engine._patiences = EnginePatience(
        answering=Patience(0.2, 1e6),
        saving=Patience(0.2, 1e6, "write its KV cache"),
        stopping=Patience(0.2, 1e6, "stop"),
    )
    engine._patience = engine._patiences.answering


def work_again(engine: EngineProcess) -> None:
    """The next question is answered, by a process of its own."""
    engine._patiences = EnginePatience()
    *_, end = engine.generate(prompt_of(random_ids(20)), Sampling(max_tokens=2), cancel=Flag())
    assert isinstance(end, Finished)


def test_in_the_middle_of_reading(llama: EngineProcess) -> None:
    with pytest.raises(EngineKilled, match="did not answer for 0 seconds and was ended"):
        for event in llama.generate(prompt_of(random_ids(2_000)), LONG, cancel=Flag()):
            if isinstance(event, Prefill) and event.done:
                stand_still(llama)
    assert llama.pid is None
    work_again(llama)


@pytest.mark.slow
def test_after_a_cancel(llama: EngineProcess) -> None:
    cancel = Flag()
    with pytest.raises(EngineKilled, match="did not stop for 0 seconds"):
        for event in llama.generate(prompt_of(random_ids(2_000)), LONG, cancel=cancel):
            if isinstance(event, Prefill) and event.done:
                stand_still(llama)
                cancel.set()
    work_again(llama)


@pytest.mark.slow
def test_when_nobody_listens_any_more(llama: EngineProcess) -> None:
    events = llama.generate(prompt_of(random_ids(2_000)), LONG, cancel=Flag())
    assert any(isinstance(event, Prefill) and event.done for event in events)
    stand_still(llama)
    events.close()
    assert llama.pid is None
    work_again(llama)


@pytest.mark.slow
@pytest.mark.parametrize(
    "act",
    [
        lambda llama, path: llama.save(BINDING, path / "state.kv"),
        lambda llama, path: list(llama.generate(prompt_of(random_ids(30)), LONG, cancel=Flag())),
        lambda llama, path: llama._tell_of(Documents("d", ["x" * (4 << 20)])),
    ],
    ids=["saving", "asking", "sending megabytes"],
)
def test_between_two_questions(
    llama: EngineProcess, tmp_path: Path, act: Callable[[EngineProcess, Path], object]
) -> None:
    work_again(llama)
    stand_still(llama)
    with pytest.raises(EngineKilled):
        act(llama, tmp_path)
    assert llama.pid is None
    work_again(llama)


@pytest.mark.slow
@pytest.mark.new_home
def test_the_turn_says_so_keeps_its_text_and_the_next_question_is_answered(tmp_path: Path, llama_gguf: Path) -> None:
    desk = Desk(Settings(home=tmp_path / "home", model=str(llama_gguf), reply_tokens=400, quotes=False))
    try:
        told = ""
        corpus = Corpus((Source.written("a.txt", "word " * 50),))
        for event in desk.ask(Question(text="Is it so?", corpus=corpus), cancel=Flag()):
            if isinstance(event, Text) and not told:
                told = event.text
                engine = desk._engines.local.running
                assert engine is not None
                stand_still(engine)
            if type(event) is Answered:
                answered = event
        turn = answered.turn
        assert turn.stop == "error" and turn.text.startswith(told)
        assert turn.error is not None and "did not answer" in turn.error and "Ask again" in turn.error
        (*_, last) = (
            e for e in desk.ask(Question(text="And so?", session=turn.session_id), cancel=Flag()) if type(e) is Answered
        )
        assert last.turn.stop in ("end", "length")
        engine = desk._engines.local.running
        assert engine is not None
        stand_still(engine)
    finally:
        desk.close()
    until(lambda: engine.pid is None)
