"""What is asked of a plan, and how many tokens are kept free for what a model thinks before it answers. Values only.

Whether a model thinks is found out by its chat template, see engine.prompt.habits; that it thinks no longer is seen to
where it is sampled, see engine.runtime.manner.
"""

from dataclasses import dataclass

DEFAULT_REPLY = 2_048
DEFAULT_THINKING = 8_192  # tokens, where nobody said how many


@dataclass(frozen=True, slots=True)
class Thoughts:
    """most: tokens that are kept where there is room for them; least: that are kept in any case."""

    most: int = 0
    least: int = 0

    def within(self, left: int) -> int:
        """Tokens that are kept where so many are left beside prompt and answer, which may be too few."""
        return max(self.least, min(self.most, left))


NO_THOUGHTS = Thoughts()


def thoughts_of(thinking: str, reply_tokens: int, *, thinks: bool) -> Thoughts:
    """What is kept of what was asked for: 'on', 'off', or how many tokens a model may think; '' leaves it to the model.
    thinks: whether it does of itself.

    What was asked for is kept to the token. Where nobody said how many, fewer do where there is no room for more, but
    half as many as the answer may have: a thought that is ended sooner is of no use.
    """
    if thinking.isdigit():
        return Thoughts(int(thinking), int(thinking))
    if thinking == "off" or not (thinks or thinking == "on"):
        return NO_THOUGHTS
    return Thoughts(DEFAULT_THINKING, min(DEFAULT_THINKING, reply_tokens // 2))


def is_thinking(value: str) -> bool:
    """Whether it says how a model is to think: 'on', 'off' or a number of tokens; '' as it does of itself."""
    return value in ("", "on", "off") or (value.isdecimal() and value.isascii() and int(value) < 1 << 31)


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
