"""What a model replies to prompts from an empty cache, and how sure each token is. In a child process of its own.

Two runs decode each prompt, with 512 and with 256 tokens at once: what their logits differ by is the floor. `python -m
tests.fresh`, with a job as JSON coming in.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.errand import sent
from tests.exactness import LEAST_FLOOR, TIMES_FLOOR, Fresh, agree, differ
from tests.walks import UBATCHES


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt, and the greedy reply that it was given: the ids of both."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """A reply beside a fresh run's. floor: what two fresh runs' logits differ by.

    same: tokens that both have; sure: how many come before one that rounding may decide.
    """

    n_tokens: int
    n_reply: int
    same: int
    sure: int
    floor: float

    @property
    def equal(self) -> bool:
        """Token for token."""
        return self.same == self.n_reply

    @property
    def holds(self) -> bool:
        """Equal, up to where two tokens are as good as each other."""
        return self.same >= self.sure


def compare(model: Path, asked: Sequence[Asked]) -> list[Compared]:
    """Each reply beside the one that is given with nothing kept. Raises AssertionError when the child fails."""
    job = {"model": str(model), "asked": [asdict(each) for each in asked]}
    return [Compared(**fields) for fields in sent("tests.fresh", job)]


def _compared(job: dict[str, Any]) -> Iterator[Compared]:
    from engine.memory.budget import Placement

    asked = [Asked(**each) for each in job["asked"]]
    n_ctx = max(len(each.prompt) + len(each.reply) for each in asked) + 1
    fresh, other = (Fresh(job["model"], Placement(n_ctx=n_ctx, n_ubatch=n_ubatch)) for n_ubatch in UBATCHES)
    for each in asked:
        ids = np.array(each.prompt, dtype=np.int32)
        first = fresh.decode(ids)
        floor = differ(other.decode(ids), first)
        tokens, rows = fresh.reply(first, len(each.reply))
        same, sure = agree(tokens, each.reply, rows, TIMES_FLOOR * max(floor, LEAST_FLOOR))
        yield Compared(len(ids), len(each.reply), same, sure, floor)


if __name__ == "__main__":
    json.dump([asdict(each) for each in _compared(json.load(sys.stdin))], sys.stdout)
