"""The boxes of the tree: what a change of one sends, and that Streamlit's own changes send nothing."""

from types import SimpleNamespace
from typing import Any

import pytest

from app import state
from app.parts import sources


@pytest.mark.parametrize(
    ("shown", "now", "sent"),
    [(True, False, [False]), (False, True, [True]), (True, True, []), (False, False, [])],
)
def test_only_a_box_that_is_not_as_it_was_shown_sends_something(
    monkeypatch: pytest.MonkeyPatch, shown: bool, now: bool, sent: list[bool]
) -> None:
    """Where a box comes back, as after New session and the browser's way back, Streamlit calls that a change."""
    asked: list[bool] = []

    def send(session_id: str, paths: tuple[str, ...], *, enabled: bool) -> None:
        asked.append(enabled)

    house: Any = SimpleNamespace(desk=SimpleNamespace(send=send))
    monkeypatch.setattr(state, "house", lambda: house)
    monkeypatch.setattr(state, "value", {"box": now}.get)
    sources._send("session", ("a.txt",), "box", shown)
    assert asked == sent
