"""Finding the largest context that fits, where each try costs a dry run. Pure."""

from collections.abc import Callable

_STEP = 256  # llama.cpp allocates cells in blocks of this many
_TRIES = 32
_NEAR_BYTES = 1 << 20  # a context that leaves less unused is wide enough


def largest(low: int, high: int, excess_bytes: Callable[[int], int]) -> int:
    """The largest context from low, which must fit, to high: in steps of 256 tokens, or within 0.4 %.

    excess_bytes: what is missing at a context; 0 or less where it fits. It grows almost evenly, so that a line between
    two known points leads near in few tries.
    """
    above = excess_bytes(high)
    if above <= 0:
        return high
    below = excess_bytes(low)
    for attempt in range(_TRIES):
        if high - low <= max(_STEP, high // 256):
            break
        guess = (low + high) // 2  # every third time, since a bend in the costs leads the line astray
        if attempt % 3 < 2:
            guess = low + (high - low) * -below // (above - below)
        middle = min(max(guess // _STEP * _STEP, low + 1), high - 1)
        at = excess_bytes(middle)
        if at > 0:
            high, above = middle, at
        else:
            low, below = middle, at
            if at > -_NEAR_BYTES:
                break
    return low
