"""Whether words of the sources are looked for that show the answers of an engine, and why not: to be said at any time.

It stands in every receipt. Who tries a model, and keeps what came of it, is `engine.local.quoting`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

NOT_HELD = (
    "Nothing can keep this engine from quoting what does not stand in the sources: what it quotes is found again."
)


class QuoteState(StrEnum):
    """Whether words are looked for."""

    ON = "on"
    OFF = "off"  # by the setting or the switch
    FAILED = "failed"  # tried on a small text, the model did not find the words
    IMPOSSIBLE = "impossible"  # nothing can keep this engine from quoting what does not stand there


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotes:
    """See the module. reason: a sentence, "" where they are on. n_found, n_tried: passages of the small text whose
    words the model found and was asked for until it was known that it finds enough, or not; None where it was not tried
    (yet). remarks: sentences on statements of one answer that nothing could be looked for behind."""

    state: QuoteState = QuoteState.ON
    reason: str = ""
    n_found: int | None = None
    n_tried: int | None = None
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As the receipt has it."""
        return {
            "state": str(self.state),
            "reason": self.reason,
            "found": self.n_found,
            "tried": self.n_tried,
            "remarks": list(self.remarks),
        }

    def with_setting(self, wanted: bool | None) -> "Quotes":
        """As a setting has it: None leaves it to the model, True looks for them with every model that can be held."""
        if self.state is QuoteState.IMPOSSIBLE or wanted is None:
            return self
        if wanted:
            return replace(self, state=QuoteState.ON, reason="")
        return replace(self, state=QuoteState.OFF, reason="Quotes are switched off (quotes = false, --no-quotes).")

    def with_remarks(self, remarks: Sequence[str]) -> "Quotes":
        return replace(self, remarks=(*self.remarks, *remarks))
