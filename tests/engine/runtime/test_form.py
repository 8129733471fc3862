"""Replies that are held to a form, by models that would write anything: random weights, every temperature."""

import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag

import numpy as np
import pytest

from app.passes.notes import FORM, read_note
from engine.errors import EngineFailed
from engine.local.process import EngineProcess
from engine.memory.budget import Placement
from engine.prompt.prompt import Part, Prompt, Segment
from engine.runtime.events import Finished, Sampling, Stop, Text
from engine.runtime.settings import EngineSettings

_SHORT = 'start: ("yes" | "no") "\\n" /[a-z]{1,3}/'


@pytest.fixture(scope="module", params=["llama_gguf", "gemma3_gguf", "scout_gguf"])
def engine(request: pytest.FixtureRequest) -> Iterator[EngineProcess]:
    model: Path = request.getfixturevalue(request.param)
    process = EngineProcess(EngineSettings(model=model, placement=Placement(n_ctx=2048, n_ubatch=128)))
    yield process
    process.close()


def written(process: EngineProcess, form: str, *, seed: int, temperature: float, most: int) -> tuple[str, Finished]:
    ids = np.random.default_rng(seed).integers(10, 2_000, 20, dtype=np.int32)
    sampling = Sampling(max_tokens=most, temperature=temperature, top_p=1.0, min_p=0.0, seed=seed)
    prompt = Prompt((Segment(Part.QUESTION, ids),))
    events = list(process.generate(prompt, sampling, cancel=Flag(), form=form))
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, Text)), events[-1]


@pytest.mark.parametrize("temperature", [0.0, 1.0, 5.0])
def test_nothing_else_is_written(engine: EngineProcess, temperature: float) -> None:
    for seed in range(4):
        text, ended = written(engine, _SHORT, seed=seed, temperature=temperature, most=40)
        assert re.fullmatch(r"(yes|no)\n[a-z]{1,3}", text) and ended.stop is Stop.END


def test_notes_are_notes(engine: EngineProcess) -> None:
    n_whole = 0
    for seed in range(6):
        text, ended = written(engine, FORM, seed=seed, temperature=seed % 3 / 2, most=(40, 120, 500)[seed // 2])
        note = read_note(text)
        assert text.startswith(("Fact: ", "Missing: "))
        if ended.stop is Stop.END:
            n_whole += 1
            assert note.missing and note.confidence in ("low", "medium", "high")
    assert n_whole


def test_what_follows_is_as_free_as_before(engine: EngineProcess) -> None:
    prompt = Prompt((Segment(Part.QUESTION, np.arange(20, 60, dtype=np.int32)),))

    def free() -> tuple[int, ...]:
        ended = list(engine.generate(prompt, Sampling(max_tokens=12), cancel=Flag()))[-1]
        assert isinstance(ended, Finished)
        return ended.reply_ids

    before = free()
    written(engine, _SHORT, seed=1, temperature=0.0, most=40)
    assert free() == before


def test_a_grammar_that_is_none_is_said(engine: EngineProcess) -> None:
    with pytest.raises(EngineFailed, match="cannot be held to its form"):
        written(engine, "start: (((", seed=0, temperature=0.0, most=10)
    assert written(engine, _SHORT, seed=0, temperature=0.0, most=40)[1].stop is Stop.END
