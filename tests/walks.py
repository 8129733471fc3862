"""Walks through prompts that share beginnings: edits, new questions on one corpus, states kept and brought back.

Every batch of a walk has at least 64 tokens: llama.cpp's attention computes shorter ones another way on CPUs, worth up
to 0.4 in a logit, and that is not what is looked for. Pure arithmetic; what comes of them is `exactness`'.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.models.scout import SMALL
from tests.models.shape import ONE_HEAD

_LEAST = 64
UBATCHES = (512, 256)  # tokens at once, of the two fresh runs

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What to walk on. window: the model's, 0 without one; chunked: whether it sees its own chunk of that many alone.

    shape: what its builder is to make otherwise. shortest, longest: tokens of a prompt.
    """

    model: str
    shape: dict[str, Any] = field(default_factory=dict)
    window: int
    chunked: bool
    shortest: int
    longest: int
    first_id: int = 300
    n_ids: int = 1_600

    def needs(self, n_tokens: int) -> int:
        """The lowest position that the windowed layers have to hold for a prompt to go on behind n_tokens."""
        if not self.window:
            return 0
        return n_tokens // self.window * self.window if self.chunked else max(0, n_tokens - self.window + 1)

    def n_behind(self, common: int, n_tokens: int) -> int:
        """Tokens of a prompt behind `common` that see any cell before it in the windowed layers."""
        end = self.needs(common) + self.window if self.chunked else common + self.window
        return min(n_tokens, end) - common


SCOUT = {**SMALL, **ONE_HEAD}
GROUNDS = {
    "llama": Ground(model="llama", shape=ONE_HEAD, window=0, chunked=False, shortest=1_000, longest=3_000),
    "gemma3": Ground(model="gemma3", shape=ONE_HEAD, window=512, chunked=False, shortest=1_600, longest=4_000),
    # as short as shows it: corpora that end before a chunk does, questions that lead into the next
    "scout": Ground(
        model="scout",
        shape=SCOUT,
        window=8_192,
        chunked=True,
        shortest=8_320,
        longest=9_300,
    ),
    # three chunks, so that an edit may be in the second
    "scout-long": Ground(
        model="scout",
        shape=SCOUT,
        window=8_192,
        chunked=True,
        shortest=16_500,
        longest=18_400,
    ),
}


@dataclass(frozen=True, slots=True)
class Step:
    """A prompt, the corpus's end in it, and what it shares with the one before; kept: whether that one's state is
    written, and read back into an engine that is new."""

    what: str
    ids: Ids
    anchor: int
    common: int
    kept: bool


def walk(ground: Ground, *, n_steps: int, seed: int) -> Iterator[Step]:
    """The first prompt, then n_steps that go back in the one before."""
    random = np.random.default_rng(seed)
    step = _first(ground, random)
    yield step
    for at in range(n_steps):
        step = _next(ground, step, random, at)
        yield step


def _first(ground: Ground, random: Any) -> Step:
    while True:
        n_tokens = int(random.integers(ground.shortest, ground.longest))
        anchor = _anchor(ground, n_tokens, random)
        if _fits(n_tokens, anchor, (0,)):
            return Step("first", _new_ids(ground, n_tokens, random), anchor, 0, False)


def _next(ground: Ground, before: Step, random: Any, at: int) -> Step:
    """In turn a new question on the corpus, and edits anywhere; of three, one goes on from a file."""
    what = ("another question", "an edit")[at % 2]
    while True:
        common = before.anchor if what == "another question" else int(random.integers(1, before.anchor))
        n_tokens = int(random.integers(max(common + _LEAST, ground.shortest), ground.longest))
        anchor = common if what == "another question" else _anchor(ground, n_tokens, random)
        starts = {0, common, ground.needs(common) if ground.chunked else 0, min(before.anchor, common)}
        if _fits(n_tokens, anchor, starts):
            break
    ids = np.concatenate([before.ids[:common], _new_ids(ground, n_tokens - common, random)])
    ids[common] = before.ids[common] + 1  # or the two might share more
    return Step(what, ids, anchor, common, kept=at % 3 == 1)


def _anchor(ground: Ground, n_tokens: int, random: Any) -> int:
    """A corpus's end; on chunks just before one ends, so that the question leads into the next."""
    if ground.chunked:
        border = n_tokens // ground.window * ground.window
        return border - int(random.integers(1, 400))
    return n_tokens - int(random.integers(_LEAST, 900))


def _fits(n_tokens: int, anchor: int, starts: Any) -> bool:
    """Whether no batch is short, wherever decoding begins, with the corpus's end as a cut or without."""
    cuts = [(start, end) for start in starts for end in (n_tokens, anchor) if start < end]
    cuts.append((anchor, n_tokens))
    return all(_is_whole(end - start, n_ubatch) for start, end in cuts for n_ubatch in UBATCHES)


def _is_whole(n_tokens: int, n_ubatch: int) -> bool:
    return n_tokens % n_ubatch == 0 or n_tokens % n_ubatch >= _LEAST


def _new_ids(ground: Ground, n_tokens: int, random: Any) -> Ids:
    ids: Ids = random.integers(ground.first_id, ground.first_id + ground.n_ids, n_tokens, dtype=np.int32)
    return ids
