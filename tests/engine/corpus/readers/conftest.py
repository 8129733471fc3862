"""Limits that a test can wait for."""

from collections.abc import Iterator

import pytest

from engine.corpus.formats import apart
from engine.corpus.readers import limits


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A step may compute for a second; on the clock it has as long as any."""
    monkeypatch.setattr(limits, "STEP_CPU_S", 0.2)
    yield
    apart.POOL.close()
