"""Held quotes behind random answers of tiny models, beside an engine that answers the same and quotes nothing. In a
child process of its own: `python -m tests.quoted`, with a job as JSON coming in.

Weights are random, so the floor is taken away, and all of the vocabulary is looked at: whatever is likeliest of what
may be written is written. Checked is what must hold of every quote and of the KV cache, whatever a model finds likely.
"""

import ctypes
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.errand import sent
from tests.exactness import answered, differ

_N_REPLY = 24
_PIECES = (
    "def word(text):\r\n\treturn text  # as it is\r\n", "The same line again and again.\n", "caf\u00e9 na\u00efve ",
    "\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3042\u308b\u3002", "\u00a0 wide\u3000space ",
    "\U0001f600\U0001f680 ok \u0440\u0443\u0441\u0441\u043a\u0438\u0439 ", "a</quote>b </quot <", "x\t\t\ty\n\n\n",
    "abcabcabcab ", "1.5 <= n < 20, f(x)[0] ", "The same line ends otherwise. ", "_under_score ",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22 ", "-- \u2014 \u201cquoted\u201d ",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Round:
    """What one answer showed. n_tried, n_found: statements, and quotes. wrong: sentences on what must not be. differs:
    largest difference of a logit of the next answer from one by the engine that quoted nothing."""

    n_tried: int
    n_found: int
    wrong: tuple[str, ...]
    differs: float
    remarks: tuple[str, ...]


def rounds(model: Path, *, lengths: list[int], n_statements: int = 4, kv_type: str = "f16", seed: int = 0,
           stop_after: int | None = None, spare: int = 512, copies: bool = True) -> list[Round]:  # fmt: skip
    """Answers to prompts of these lengths, one after the other, with other sources each time. stop_after: how often it
    is asked whether it was cancelled until it was. spare: cells behind the longest prompt. copies: whether the state
    where a reply begins is copied, where the model has one. Raises AssertionError when the child fails."""
    job = {"model": str(model), "lengths": lengths, "n_statements": n_statements, "kv_type": kv_type, "seed": seed}
    job |= {"stop_after": stop_after, "spare": spare, "copies": copies}
    return [Round(**fields) for fields in sent("tests.quoted", job)]


def any_documents(draw: random.Random) -> list[str]:
    """One to five texts: from a byte up to some hundred, of what is hard to quote."""
    one = draw.choice(["a", " ", "\u6771", "\n", "<"])
    texts = ["".join(draw.choices(_PIECES, k=draw.randint(1, 12))) for _ in range(draw.randint(0, 4))]
    return [*texts, one] if draw.random() < 0.3 or not texts else texts


def _played(job: dict[str, Any]) -> Iterator[Round]:
    from engine.memory.budget import Placement
    from engine.runtime.llama import LlamaModel
    from engine.runtime.settings import EngineSettings

    placement = Placement(n_ctx=max(job["lengths"]) + job["spare"], kv_type=job["kv_type"], n_ubatch=256)
    settings = EngineSettings(model=Path(job["model"]), placement=placement, n_threads=1)
    engine, plain = (LlamaModel(settings, lambda share: None) for _ in range(2))
    draw, ids = random.Random(job["seed"]), np.empty(0, dtype=np.int32)
    quotes = job["copies"]
    for n_tokens in job["lengths"]:
        new = [draw.randrange(300, 1_900) for _ in range(n_tokens - len(ids))]
        ids = np.concatenate([ids[:n_tokens], np.array(new, dtype=np.int32)])
        rows, replies = [], []
        for each in (engine, plain):
            _, reply, logits = answered(
                each, ids, n_reply=_N_REPLY, anchor=len(ids) // 2, quotes=quotes and each is engine
            )
            rows.append(logits)
            replies.append(reply)
        differs = max((differ(a, b) for a, b in zip(*rows, strict=True)), default=0.0)
        assert replies[0] == replies[1] or differs
        yield _quoted(engine, ids, replies[0], draw, job, differs)
        ids = np.concatenate([ids, np.array(replies[0], dtype=np.int32)])


def _quoted(engine: Any, prompt: Any, reply: Any, draw: random.Random, job: dict[str, Any], differs: float) -> Round:
    from engine.runtime.events import Evidence
    from engine.runtime.quotes import evidence, writing
    from engine.runtime.quotes.evidence import write_quote
    from engine.runtime.quotes.index import build
    from engine.runtime.quotes.nearby import Nearby, nearby
    from engine.runtime.quotes.text import join
    from engine.runtime.quotes.writing import Asked

    texts = any_documents(draw)
    index = build(join([text.encode() for text in texts]))
    text = b"".join(map(engine._quoting.piece, reply)).decode(errors="replace")
    ends = sorted(draw.randint(1, max(1, len(text))) for _ in range(job["n_statements"]))
    openings = [np.array([draw.randrange(300, 1_900) for _ in range(9)], dtype=np.int32)] * 3
    asked = Asked(
        ids=np.concatenate([prompt, np.array(reply, dtype=np.int32)]), n_prompt=len(prompt),
        statements=[(0, end) for end in ends],
        openings=openings, floor=-1e9, apart=len(prompt) < job["spare"] - 250 and draw.random() < 0.2,
    )  # fmt: skip
    evidence._CANDIDATES = 1 << 20  # what may be written is seldom among the likeliest
    before, held = _state(engine), engine.cached_ids.copy()
    written: list[Any] = []
    whole, near = write_quote, nearby
    if draw.random() < 0.7:  # else what is random shares few words with the sources
        writing.nearby = lambda index, *_: Nearby(index, {}, 0.0, is_foreign=True)  # type: ignore[attr-defined]
    writing.write_quote = lambda *given, **named: _kept(written, whole(*given, **named))  # type: ignore[attr-defined]
    if job["stop_after"] is not None:
        left = [job["stop_after"]]
        once, engine._quoting._cancelled = engine._quoting._cancelled, lambda: _counted(left)
    events = list(engine.evidence(asked, index))
    writing.write_quote, writing.nearby = whole, near  # type: ignore[attr-defined]
    if job["stop_after"] is not None:
        engine._quoting._cancelled = once
    found = [event for event in events if isinstance(event, Evidence)]
    wrong = [] if _state(engine) == before else ["the cache has changed"]
    wrong += [] if np.array_equal(held, engine.cached_ids) else ["other ids are held"]
    quotes = [each for each in written if not each.cancelled]
    tried = [event for event in found if event.n_tokens]  # for the others no words could be found
    for event, each in zip(tried, quotes, strict=True):
        wrong += _wrong(event, each.quote, texts)
    remarks = tuple(sorted({event.text for event in events if not isinstance(event, Evidence)}))
    return Round(len(found), sum(event.document is not None for event in found), tuple(wrong), differs, remarks)


def _kept(written: list[Any], one: Any) -> Any:
    written.append(one)
    return one


def _counted(left: list[int]) -> bool:
    left[0] -= 1
    return left[0] < 0


def _wrong(event: Any, quote: Any, texts: list[str]) -> list[str]:
    """What is not as it must be with a quote."""
    from engine.runtime.quotes.text import normalized

    if quote is None:
        return [] if event.document is None else ["a place without words"]
    if event.document is None:
        return ["words without a place"]
    data = texts[event.document].encode()
    words = data[event.start : event.end]
    wrong = []
    if not words or normalized(words) != quote.words:
        wrong.append(f"{words!r} stands there, {quote.words!r} was written")
    try:
        words.decode()
    except UnicodeDecodeError:
        wrong.append(f"{words!r} is cut within a character")
    n_places = sum(_n_of(quote.words, normalized(text.encode())) for text in texts)
    if not 1 <= event.n_places <= n_places:
        wrong.append(f"{event.n_places} places of {n_places} for {quote.words!r}")
    if not any(letter.isalnum() for letter in words.decode(errors="replace")):
        wrong.append(f"{words!r} has no word")
    return wrong


def _n_of(words: bytes, data: bytes) -> int:
    return sum(data.startswith(words, at) for at in range(len(data)))


def _state(engine: Any) -> bytes:
    import llama_cpp

    size = llama_cpp.llama_state_seq_get_size_ext(engine._context, 0, 0)
    data = (ctypes.c_uint8 * size)()
    assert llama_cpp.llama_state_seq_get_data_ext(engine._context, data, size, 0, 0) == size
    return bytes(data)


if __name__ == "__main__":
    json.dump([asdict(each) for each in _played(json.load(sys.stdin))], sys.stdout)
