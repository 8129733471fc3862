"""What was heard of an answer, piece by piece with its time, and what must be kept of it after a kill."""

from dataclasses import dataclass, field
from time import monotonic

_LOST_S = 1.0  # what may be lost: what came within the last second


@dataclass
class Heard:
    """The whole text as it was at some moments."""

    texts: list[tuple[float, str]] = field(default_factory=list)

    def hear(self, text: str) -> None:
        """As it is now."""
        if text and (not self.texts or text != self.texts[-1][1]):
            self.texts.append((monotonic(), text))

    def lost(self, kept: str, *, killed: float, may_lose_s: float = _LOST_S) -> str:
        """What is wrong with what was kept after a kill at that moment; "" for nothing. White space is the page's."""
        kept = _bare(kept)
        last = _bare(self.texts[-1][1]) if self.texts else ""
        if not kept.startswith(last[: len(kept)]):
            return f"kept {kept[:60]!r}, and heard was {last[:60]!r}"
        must = [_bare(text) for at, text in self.texts if at <= killed - may_lose_s]
        if must and len(kept) < len(must[-1]):
            return f"{len(must[-1]) - len(kept)} characters lost that were there {may_lose_s} s before"
        return ""


def _bare(text: str) -> str:
    return "".join(text.split())
