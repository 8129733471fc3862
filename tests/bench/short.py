"""The last batch of a prompt, filled up to 64 tokens, against the batch as it is: seconds, and what logits differ by.

Only where the cells are f16: llama.cpp has no quick attention for quantized ones on a CPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.models.cache import cached
from tests.short_batches import Short, short_batches

_DEPTH, _SIZES, _TIMES = 8_000, (1, 8, 16, 32, 63), 5
_HEAD_DIMS = (32, 64, 128)


@dataclass(frozen=True, slots=True)
class Filled:
    """One size of a batch on a model of one head dim. It holds where the filled one's logits are a long batch's."""

    head_dim: int
    short: Short

    @property
    def holds(self) -> bool:
        return self.short.filled_differs == 0.0

    def __str__(self) -> str:
        short, name = self.short, f"last batch of {self.short.n_tokens} filled up, head dim {self.head_dim}"
        times = f"{short.filled_s:>10.3f} {short.plain_s:>10.3f} {'s':<4} {short.filled_s / short.plain_s:>6.3f}"
        differ = (
            f"logits differ by {short.filled_differs:.4f} from a long batch's, unfilled by {short.plain_differs:.4f}"
        )
        return f"{name:<58} {times} ({differ}: {'holds' if self.holds else 'FAILS'})"


def rows() -> Iterator[Filled]:
    """Each size on each head dim."""
    for head_dim in _HEAD_DIMS:
        model = cached("llama", head_dim=head_dim)
        for short in short_batches(model, depth=_DEPTH, sizes=_SIZES, times=_TIMES):
            yield Filled(head_dim, short)
