"""The rule that says how much of a KV cache may stay."""

import pytest

from engine.runtime.prefix import Attention, CacheShape, Rewind, keepable, rewind_to

FULL = CacheShape(Attention.FULL)
CHUNKED = CacheShape(Attention.CHUNKED, 8192)
SLIDING = CacheShape(Attention.SLIDING, 512)
RECURRENT = CacheShape(Attention.RECURRENT)


@pytest.mark.parametrize("shape", [FULL, CHUNKED, SLIDING, RECURRENT])
def test_going_on_at_the_end_keeps_everything(shape: CacheShape) -> None:
    assert keepable(20_000, n_cached=20_000, pos_min=16_384, shape=shape) == 20_000


@pytest.mark.parametrize(
    ("shape", "common", "pos_min", "kept"),
    [
        (FULL, 12_000, 0, 12_000),
        (FULL, 0, 0, 0),
        (CHUNKED, 12_000, 16_384, 8_192),  # its chunk is gone: back to where it began
        (CHUNKED, 12_000, 8_192, 12_000),  # its chunk is still there
        (CHUNKED, 12_000, 8_193, 8_192),
        (CHUNKED, 17_000, 16_384, 17_000),
        (CHUNKED, 16_384, 16_500, 16_384),  # a chunk's first position needs nothing of it
        (CHUNKED, 8_191, 8_192, 0),
        (CHUNKED, 12_000, -1, 8_192),  # nothing windowed is held at all
        (SLIDING, 12_000, 11_489, 12_000),
        (SLIDING, 12_000, 11_490, 0),
        (SLIDING, 100, 0, 100),
        (SLIDING, 100, -1, 0),
        (RECURRENT, 19_999, 0, 0),
    ],
)
def test_rewinding(shape: CacheShape, common: int, pos_min: int, kept: int) -> None:
    assert keepable(common, n_cached=20_000, pos_min=pos_min, shape=shape) == kept


@pytest.mark.parametrize(
    ("shape", "common", "copied", "rewind"),
    [
        (CHUNKED, 12_000, 12_000, Rewind(12_000, by_window=True)),
        (CHUNKED, 12_000, 12_400, Rewind(12_000, by_window=True)),  # a copy serves all of its chunk before it
        (CHUNKED, 14_000, 12_400, Rewind(12_400, by_window=True)),
        (CHUNKED, 16_000, 16_390, Rewind(8_192)),  # the copy is of the next chunk
        (CHUNKED, 8_192, 12_400, Rewind(8_192)),
        (SLIDING, 12_000, 12_000, Rewind(12_000, by_window=True)),
        (SLIDING, 14_000, 12_000, Rewind(12_000, by_window=True)),
        (SLIDING, 12_000, 12_001, Rewind(0)),
        (SLIDING, 100, 400, Rewind(100, by_window=True)),  # the copy begins at the first token
        (SLIDING, 12_000, 0, Rewind(0)),
    ],
)
def test_coming_back_by_a_copy(shape: CacheShape, common: int, copied: int, rewind: Rewind) -> None:
    assert rewind_to(common, n_cached=20_000, pos_min=19_000, shape=shape, copied=copied) == rewind
