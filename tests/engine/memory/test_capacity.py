"""For how many others a prompt waits on a server."""

import pytest

from engine.memory.capacity import Capacity


@pytest.mark.parametrize(
    ("capacity", "n_tokens", "n_before"),
    [
        (Capacity(total=1000), 1000, 0),
        (Capacity(total=1000, used=600, running=3), 400, 0),
        (Capacity(total=1000, used=600, running=3), 401, 1),
        (Capacity(total=1000, used=600, running=3), 700, 2),
        (Capacity(total=1000, used=600, running=3), 1000, 3),
        (Capacity(total=1000, used=600, running=3, waiting=2), 100, 3),
        (Capacity(total=1000, used=600, running=3, waiting=2), 700, 4),
        (Capacity(running=1, slots=2), 100, 0),
        (Capacity(running=2, slots=2), 100, 1),
        (Capacity(), 10**9, 0),
    ],
)
def test_how_many_others_have_to_be_done(capacity: Capacity, n_tokens: int, n_before: int) -> None:
    assert capacity.before(n_tokens) == n_before and not capacity.never(n_tokens) or n_tokens > 1000


def test_more_than_all_of_it_never_fits() -> None:
    assert Capacity(total=1000).never(1001) and not Capacity(total=1000).never(1000) and not Capacity().never(10**9)
