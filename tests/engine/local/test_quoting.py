"""Evidence from the engine's child, on a tiny real model: what is left of the answer, cancels, deaths, the trial."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag
from typing import Any

import numpy as np
import pytest

from engine.answer.quotes import QuoteState
from engine.corpus.source import Source, digest_text
from engine.errors import EngineDied
from engine.local.opened import open_model
from engine.local.process import EngineProcess
from engine.local.quoting import QuoteTrial, documents_of, evidence
from engine.memory.budget import Placement
from engine.prompt.prompt import Part, Prompt, Segment
from engine.runtime.events import Evidence, Finished, Remark, Replied, Sampling, Text
from engine.runtime.quotes.text import documents_from
from engine.runtime.settings import EngineSettings
from tests.models.cache import cached

TEXTS = ("The boat leaves at seven.\nDogs travel free.\n", "caf\u00e9 \u6771\u4eac \ud800 end\r\n")
SPANS = [(0, 4), (0, 9), (0, 14)]


@pytest.fixture
def engine(llama_gguf: Path) -> Iterator[EngineProcess]:
    process = EngineProcess(
        EngineSettings(model=llama_gguf, placement=Placement(n_ctx=2048, n_ubatch=256), n_threads=1)
    )
    yield process
    process.close()


def sources() -> list[Source]:
    return [
        Source(path=f"{at}.txt", kind="text", text=text, n_bytes=0, digest=digest_text(text))
        for at, text in enumerate(TEXTS)
    ]


def answered(engine: EngineProcess, ids: np.ndarray, n_reply: int = 12) -> Finished:
    prompt = Prompt((Segment(Part.SOURCE, ids),))
    *_, end = engine.generate(prompt, Sampling(max_tokens=n_reply), cancel=Flag(), documents=documents_of(sources()))
    assert isinstance(end, Finished)
    return end


def quoted(engine: EngineProcess, ids: np.ndarray, reply: Finished, cancel: Flag | None = None) -> Any:
    return engine.evidence(
        np.concatenate([ids, np.array(reply.reply_ids, dtype=np.int32)]), n_prompt=len(ids), statements=SPANS,
        openings=[np.arange(300, 309, dtype=np.int32)] * 3, question="", documents=documents_of(sources()), floor=-1e9,
        cancel=cancel or Flag(),
    )  # fmt: skip


def some_ids(n_tokens: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(300, 1_900, n_tokens, dtype=np.int32)


def test_the_next_question_reads_no_more_than_without_it(engine: EngineProcess) -> None:
    ids = some_ids(400)
    reply = answered(engine, ids)
    found = list(quoted(engine, ids, reply))
    assert [event.statement for event in found if isinstance(event, Evidence)] == [0, 1, 2]
    for event in found:
        if event.document is not None:
            assert 0 <= event.start < event.end <= len(TEXTS[event.document].encode("utf-8", "surrogatepass"))
    longer = np.concatenate([ids, np.array(reply.reply_ids, dtype=np.int32), some_ids(30, seed=1)])
    engine.settle(Flag())
    n_held = len(engine.held)
    again = answered(engine, longer)
    assert again.reused_tokens == n_held >= 400 + len(reply.reply_ids) - 1
    fresh = EngineProcess(engine.settings)
    answered(fresh, ids)
    assert answered(fresh, longer).reply_ids == again.reply_ids
    fresh.close()


@pytest.mark.slow
@pytest.mark.parametrize(("model", "shape"), [("mamba", {}), ("hybrid", {"kind": "qwen35"})])
def test_a_memory_that_cannot_go_back_writes_evidence_too(model: str, shape: dict[str, Any]) -> None:
    """Recurrent and hybrid models, through the engine's child: again and again, cut short, and the answer goes on."""
    engine = EngineProcess(
        EngineSettings(model=cached(model, **shape), placement=Placement(n_ctx=2048, n_ubatch=256), n_threads=1)
    )
    fresh = EngineProcess(engine.settings)
    try:
        ids = some_ids(400)
        reply = answered(engine, ids)
        for _ in range(2):
            assert [event.statement for event in quoted(engine, ids, reply)] == [0, 1, 2]
        events = quoted(engine, ids, reply)
        next(events)
        events.close()  # whoever listened went away
        longer = np.concatenate([ids, np.array(reply.reply_ids, dtype=np.int32), some_ids(70, seed=1)])
        n_held = len(engine.held)
        again = answered(engine, longer)
        assert again.reused_tokens == n_held >= 400 + len(reply.reply_ids) - 1
        answered(fresh, ids)
        assert answered(fresh, longer).reply_ids == again.reply_ids
    finally:
        engine.close()
        fresh.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_quote_that_the_model_opened_can_but_be_copied(engine: EngineProcess, llama_gguf: Path, seed: int) -> None:
    """Told to open quotes, with random weights: the reply goes on from an opening mark, and is itself again behind the
    closing one."""
    opened = open_model(llama_gguf)
    begun = opened.tokenizer.encode("It says: <quote>")
    prompt = Prompt((Segment(Part.SOURCE, some_ids(300, seed=seed)),)).begun_with(begun)
    sampling = Sampling(max_tokens=90, temperature=1.0, seed=seed)
    *events, end = engine.generate(prompt, sampling, cancel=Flag(), documents=documents_of(sources()), told=True)
    assert isinstance(end, Finished)
    text = "".join(event.text for event in events if isinstance(event, Text))
    words, mark, _ = text.partition("</quote>")
    assert mark and len(end.held) <= 1
    sent = " | ".join(" ".join(each.split()) for each in TEXTS)
    assert (
        " ".join(words.split()) in sent
        and [quote.words for quote in end.held] == [" ".join(words.split())][: len(end.held)]
    )
    *_, plain = engine.generate(prompt, sampling, cancel=Flag(), documents=documents_of(sources()))
    assert isinstance(plain, Finished) and plain.held == () and plain.reply_ids != end.reply_ids
    opened.close()


def test_of_another_answer_nothing_is_said(engine: EngineProcess) -> None:
    reply = answered(engine, some_ids(300))
    answered(engine, some_ids(300, seed=2))
    assert list(quoted(engine, some_ids(300), reply)) == []


def test_a_cancel_ends_it_and_the_engine_answers_on(engine: EngineProcess) -> None:
    ids, cancel = some_ids(300), Flag()
    reply = answered(engine, ids)
    found = []
    for event in quoted(engine, ids, reply, cancel):
        found.append(event)
        cancel.set()
    assert len(found) < len(SPANS)
    events = quoted(engine, ids, reply)
    next(events)
    events.close()  # whoever listened went away
    pid = engine.pid
    assert answered(engine, ids).reused_tokens >= 299 and engine.pid == pid


def test_a_child_that_dies_is_said_and_the_next_answer_starts_another(engine: EngineProcess) -> None:
    ids = some_ids(300)
    reply = answered(engine, ids)
    events = quoted(engine, ids, reply)
    next(events)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(EngineDied):
        list(events)
    assert list(quoted(engine, ids, reply)) == []
    assert answered(engine, ids).reply_ids == reply.reply_ids
    assert any(isinstance(event, Evidence) for event in quoted(engine, ids, reply))  # the new one was told the sources


def test_a_model_is_tried_once_and_one_that_is_no_good_is_left_alone(
    engine: EngineProcess, llama_gguf: Path, tmp_path: Path
) -> None:
    ids, opened = some_ids(300), open_model(llama_gguf)
    reply = answered(engine, ids)
    trial = QuoteTrial(opened, "a fingerprint", tmp_path)
    assert trial.known() is None
    prompt, text = Prompt((Segment(Part.SOURCE, ids),)), "x" * 20

    def asked(anyway: bool) -> list[Evidence | Remark]:
        return list(
            evidence(
                engine, QuoteTrial(opened, "a fingerprint", tmp_path), prompt, Replied(reply.reply_ids, text), SPANS,
                question="", quotable=sources(), anyway=anyway, cancel=Flag(),
            )
        )  # fmt: skip

    [remark] = asked(anyway=False)
    assert isinstance(remark, Remark)
    outcome = trial.known()
    assert outcome is not None and outcome.n_found is not None and outcome.n_found < 3  # its weights are random
    assert outcome.state is QuoteState.FAILED and outcome.reason == remark.text
    assert "quotes = true" in remark.text
    assert asked(anyway=False) == []  # by what was kept; it was said
    assert [type(event) for event in asked(anyway=True)] == [Evidence] * 3
    assert QuoteTrial(opened, "another model", tmp_path).known() is None
    assert len(engine.held) >= 300 and answered(engine, ids).reused_tokens == 299  # the trial left the answer there
    opened.close()


def test_what_is_quoted_from_is_packed_and_unpacked() -> None:
    sizes, data = documents_of(sources()).packed()
    assert documents_from(sizes, data) == [text.encode("utf-8", "surrogatepass") for text in TEXTS]
