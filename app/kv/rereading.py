"""What a question throws away of what was read before, in a sentence, for whoever asks it. Which KV states there are is
left to `engines`."""

from collections.abc import Sequence

from storage.records import Turn

_WORTH_SAYING_S = 2.0
_WORTH_SAYING_TOKENS = 1_000  # where the speed is not known
_MEASURABLE_TOKENS, _MEASURABLE_S = 256, 0.05


def rereading(
    prompt_tokens: int, reused_tokens: int | None, tokens_per_s: float | None, *, read_tokens: int
) -> str | None:
    """ "Re-reading 61,200 tokens, about 6 min"; None where next to nothing is lost.

    reused_tokens: of the prompt, what need not be read again; None where nobody can tell. tokens_per_s: None where it
    was not measured. read_tokens: what the session's last question had read, its reply included; 0 for none: what is
    read for the first time is not lost.
    """
    if reused_tokens is None:
        return None
    lost = min(read_tokens, prompt_tokens) - reused_tokens
    if tokens_per_s is None:
        return f"Re-reading {lost:,} tokens" if lost >= _WORTH_SAYING_TOKENS else None
    seconds = lost / tokens_per_s
    return f"Re-reading {lost:,} tokens, about {_about(seconds)}" if seconds >= _WORTH_SAYING_S else None


def tokens_read(turns: Sequence[Turn], model: str) -> int:
    """What the last question that reached this model has had read, its reply included."""
    for turn in reversed(turns):
        if turn.prompt_tokens is not None:
            if turn.settings.get("model") != model:
                return 0
            return turn.prompt_tokens + (turn.reply_tokens or 0) if turn.text else turn.prefill_done or 0
    return 0


def reading_speed(turns: Sequence[Turn], model: str) -> float | None:
    """Tokens a second, of the last question of which this model read enough to tell."""
    for turn in reversed(turns):
        fresh = (turn.prompt_tokens or 0) - (turn.reused_tokens or 0)
        seconds = turn.prefill_s or 0.0
        if turn.settings.get("model") == model and fresh >= _MEASURABLE_TOKENS and seconds >= _MEASURABLE_S:
            return fresh / seconds if turn.text else None
    return None


def _about(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
