"""Going back in a KV cache at random points: the largest change of a logit, against the floor that any run has.

The floor is what two fresh runs differ by that take 512 and 256 tokens at once; at each point three times that is
allowed, and where llama.cpp's own going back is wrong, a twentieth of what it is off by. See tests.exactness.

Then three conversations of ten turns with each of five models, where nothing may differ: see tests.conversing. A sixth,
whose layers have a state that cannot go back to a reply's beginning but in batches of another length, is shown beside.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.models.places import starter_model
from tests.bench.table import Row
from tests.conversing import turns
from tests.exactness import LEAST_FLOOR, Point, points
from tests.models.scout import SMALL
from tests.models.shape import ONE_HEAD

TALKS: dict[str, dict[str, Any]] = {
    "llama": {"model": "llama", **ONE_HEAD},
    "llama Q4_K_M": {"model": "llama", "quantized": "Q4_K_M", "n_embd": 256, **ONE_HEAD},
    "gemma3, replies over its window": {"model": "gemma3", "longest_reply": 700, "n_ctx": 8_192, **ONE_HEAD},
    "scout": {"model": "scout", **SMALL, **ONE_HEAD},
    "the starter": {"first_id": 1_000, "n_ids": 40_000, "longest_reply": 60},
    "hybrid": {"model": "hybrid"},
}
_SEEDS = 3
WALKS = (("llama", 30), ("gemma3", 30), ("scout", 15), ("scout-long", 15))


@dataclass(frozen=True, slots=True)
class Reading:
    """The points of one walk."""

    name: str
    points: tuple[Point, ...]

    @property
    def holds(self) -> bool:
        seen = all(point.naive > point.limit for point in self.points if point.naive_is_wrong)
        return seen and all(point.exact for point in self.points)

    def __str__(self) -> str:
        worst = max(self.points, key=lambda point: point.ours / point.limit)
        wrong = [point.naive for point in self.points if point.naive_is_wrong]
        naive = f"; llama.cpp alone is off by {min(wrong):.2g} to {max(wrong):.2g} at {len(wrong)}" if wrong else ""
        missed = [point.what for point in self.points if not point.exact]
        verdict = f"FAILS at {len(missed)}: {', '.join(missed)}" if missed else "holds" if self.holds else "FAILS"
        figures = f"{worst.ours:>10.4f} {worst.floor:>10.4f} {'':<4} {3 * worst.ours / worst.limit:>6.3f}"
        return f"{self.name:<58} {figures} (at most 3: {verdict}{naive})"


def rows() -> Iterator[Reading | Row]:
    """The point of each walk that differs most, and the floor there."""
    yield from _replies()
    for name, n_steps in WALKS:
        for kv_type in ("f16", "q8_0"):
            walked = tuple(points(name, kv_type=kv_type, n_steps=n_steps))
            yield Reading(f"logits after going back, {name}, {kv_type} KV, {n_steps} points", walked)


def _replies() -> Iterator[Row]:
    """The largest difference behind a question, when the replies before it were read again."""
    for name, how in TALKS.items():
        how = how if "model" in how else {**how, "model": starter_model()}
        for kv_type in ("f16", "q8_0"):
            talked = [turn for seed in range(_SEEDS) for turn in turns(**how, kv_type=kv_type, seed=seed)]
            limit = None if name == "hybrid" else 1.0
            what = f"logits behind replies, {name}, {kv_type} KV, {len(talked)} turns"
            yield Row(what, max(turn.ours for turn in talked), LEAST_FLOOR, "", limit)
