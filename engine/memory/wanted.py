"""What is asked of a plan. Values only."""

from dataclasses import dataclass

from engine.memory.thoughts import Thoughts, thoughts_of

DEFAULT_REPLY = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user asks of a plan; None leaves the choice to Longdesk.

    n_ctx: tokens of the context. kv_device: 'auto', 'gpu' or 'ram'. n_ubatch: tokens that are computed at once.
    swa_full: windowed layers keep every cell. reply_tokens: kept free for the answer; thinking: as in Sampling, what is
    kept for thoughts beside it. thinks: whether the model thinks of itself, which its engine fills in. vision_bytes: of
    memory, for a projector beside the model. at_once: tokens that must be computed at once, where n_ubatch is left to
    Longdesk.
    """

    n_ctx: int | None = None
    kv_type: str = "f16"
    kv_device: str = "auto"
    n_ubatch: int | None = None
    swa_full: bool = False
    reply_tokens: int = DEFAULT_REPLY
    thinking: str = "off"
    thinks: bool = False
    vision_bytes: int = 0
    at_once: int = 1

    @property
    def thoughts(self) -> Thoughts:
        """What is kept free for thoughts."""
        return thoughts_of(self.thinking, self.reply_tokens, thinks=self.thinks)

    @property
    def ahead_tokens(self) -> int:
        """The fewest that have to be free for what the model writes."""
        return self.reply_tokens + self.thoughts.least
