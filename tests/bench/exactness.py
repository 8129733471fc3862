"""Going back in a KV cache at random points: the largest change of a logit, against the floor that any run has.

The floor is what two fresh runs differ by that take 512 and 256 tokens at once; at each point three times that is
allowed, and where llama.cpp's own going back is wrong, a twentieth of what it is off by. See tests.exactness.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.exactness import Point, points

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


def rows() -> Iterator[Reading]:
    """The point of each walk that differs most, and the floor there."""
    for name, n_steps in WALKS:
        for kv_type in ("f16", "q8_0"):
            walked = tuple(points(name, kv_type=kv_type, n_steps=n_steps))
            yield Reading(f"logits after going back, {name}, {kv_type} KV, {n_steps} points", walked)
