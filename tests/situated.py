"""Held quotes of tiny real models in generated situations. In a child process of its own: `python -m tests.situated`,
with a job as JSON coming in.

Weights are random, so the floor is taken away, and all of the vocabulary is looked at.
"""

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.errand import sent
from tests.exactness import answered

_N_REPLY, _N_CTX = 4, 512


def quoted(model: Path, texts: list[list[str]], *, seed: int = 0) -> list[dict[str, Any]]:
    """What a model quotes of each of these sets of texts behind an answer: the fields of Evidence, and as
    `words` what it wrote. Raises AssertionError when the child fails."""
    told: list[dict[str, Any]] = sent("tests.situated", {"model": str(model), "texts": texts, "seed": seed})
    return told


def _played(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    from engine.memory.budget import Placement
    from engine.runtime.events import Evidence
    from engine.runtime.llama import LlamaModel
    from engine.runtime.quotes import evidence, writing
    from engine.runtime.quotes.evidence import write_quote
    from engine.runtime.quotes.index import build
    from engine.runtime.quotes.nearby import Nearby, nearby
    from engine.runtime.quotes.text import join
    from engine.runtime.quotes.writing import Asked
    from engine.runtime.settings import EngineSettings

    evidence._CANDIDATES = 1 << 20  # what may be written is seldom among the likeliest
    settings = EngineSettings(model=Path(job["model"]), placement=Placement(n_ctx=_N_CTX, n_ubatch=64), n_threads=1)
    engine, draw, written = LlamaModel(settings, lambda share: None), random.Random(job["seed"]), list[Any]()
    prompt = np.array([draw.randrange(300, 1_900) for _ in range(40)], dtype=np.int32)
    _, reply, _ = answered(engine, prompt, n_reply=_N_REPLY, anchor=20)
    ids, whole, near = np.concatenate([prompt, np.array(reply, dtype=np.int32)]), write_quote, nearby
    writing.write_quote = lambda *given, **named: _kept(written, whole(*given, **named))  # type: ignore[attr-defined]
    for texts in job["texts"]:
        index = build(join([text.encode("utf-8", "surrogatepass") for text in texts]))
        anywhere = draw.random() < 0.8  # else a random statement shares few words with the sources
        writing.nearby = lambda index, *_: Nearby(index, {}, 0.0, is_foreign=True)  # type: ignore[attr-defined]
        writing.nearby = writing.nearby if anywhere else near  # type: ignore[attr-defined]
        opening = np.array([draw.randrange(300, 1_900) for _ in range(6)], dtype=np.int32)
        asked = Asked(ids=ids, n_prompt=len(prompt), statements=[(0, 1)], openings=[opening] * 3, floor=-1e9)
        written.clear()
        [found] = [event for event in engine.evidence(asked, index) if isinstance(event, Evidence)]
        assert np.array_equal(engine.cached_ids, ids[: len(engine.cached_ids)])
        words = written[0].quote.words.decode() if written and written[0].quote is not None else None
        yield {**asdict(found), "words": words}


def _kept(written: list[Any], one: Any) -> Any:
    written.append(one)
    return one


if __name__ == "__main__":
    json.dump(list(_played(json.load(sys.stdin))), sys.stdout)
