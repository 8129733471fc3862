"""How many tokens are kept free for what a model thinks before it answers, beside those of its answer. Values only.

Whether a model thinks is found out by its chat template, see engine.prompt.habits; that it thinks no longer is seen to
where it is sampled, see engine.runtime.manner.
"""

from dataclasses import dataclass

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
