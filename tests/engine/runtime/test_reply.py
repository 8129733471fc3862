"""A reply that ends before a text: never a character too many goes out, and the ids hold the text, token by token."""

import random

import pytest

from engine.runtime.events import Stop
from engine.runtime.reply import Reply

LONG_AGO = -1e9


def said(pieces: list[bytes], *stops: str) -> tuple[Reply, str, list[int]]:
    """A reply of these tokens, each its own number; its text and the ids that went out with it."""
    reply, text, ids = Reply(LONG_AGO, stops=stops), "", list[int]()
    for token, piece in enumerate(pieces):
        reply.add(token, piece)
        if reply.stopped:
            break
        reply._sent_at = LONG_AGO  # whatever can be sent is sent at once
        for due in reply.due():
            text += due.text
            ids += due.ids
    for due in reply.due(last=True):
        text += due.text
        ids += due.ids
    return reply, text, ids


@pytest.mark.parametrize(
    ("pieces", "stops", "text", "n_ids"),
    [
        ([b"one ", b"two ", b"three"], (), "one two three", 3),
        ([b"one ", b"two ", b"three"], ("two",), "one ", 1),
        ([b"one ", b"two ", b"three"], ("o t",), "one tw", 2),
        ([b"one ", b"two ", b"three"], ("one",), "", 0),
        ([b"a", b"b", b"a", b"c"], ("bac", "ab"), "", 0),
        ([b"x\n", b"\nUser", b":"], ("\n\nUser:",), "x", 1),
        ([b"x\n", b"\nUser", b"s"], ("\n\nUser:",), "x\n\nUsers", 3),
        ([b"ab", b"ab", b"abc"], ("ababc",), "ab", 1),
        (["\u6771".encode()[:2], "\u6771".encode()[2:], b"x"], ("\u6771",), "", 0),
        ([b"y", "\u6771".encode()[:2], "\u6771".encode()[2:] + b"!"], ("!",), "y\u6771", 3),
        ([b"half", "\u6771".encode()[:2]], ("zz",), "half\ufffd", 2),
    ],
)
def test_it_ends_before_a_stop(pieces: list[bytes], stops: tuple[str, ...], text: str, n_ids: int) -> None:
    reply, shown, ids = said(pieces, *stops)
    assert (shown, reply.ids) == (text, list(range(n_ids)))
    assert reply.stop is (Stop.END if reply.stopped else Stop.CANCELLED)
    assert ids == reply.ids[: len(ids)]


def test_whatever_is_sampled() -> None:
    """As a plain search in the whole text finds it, and nothing of a stop has gone out before."""
    draw = random.Random(4)
    for _ in range(4_000):
        whole = "".join(draw.choices("ab\n\u00e9\U0001f642", k=draw.randint(0, 14)))
        data, pieces = whole.encode(), list[bytes]()
        while data:
            cut = draw.randint(1, 4)
            pieces, data = [*pieces, data[:cut]], data[cut:]
        stops = ["".join(draw.choices("ab\n\u00e9\U0001f642", k=draw.randint(1, 3))) for _ in range(draw.randint(1, 3))]
        reply, shown, ids = said(pieces, *stops)
        ends = [whole.find(stop) for stop in stops if stop in whole]
        if not reply.stopped:
            assert not ends and shown == whole and ids == reply.ids == list(range(len(pieces)))
            continue
        # what comes first is known when it is there: of two that begin within one token, the first one
        assert any(whole.startswith(stop, len(shown)) for stop in stops) and whole.startswith(shown)
        assert not any(stop in shown for stop in stops)
        kept = b"".join(pieces[: len(reply.ids)]).decode(errors="ignore")
        assert kept.startswith(shown) and ids == reply.ids[: len(ids)]
        shorter = b"".join(pieces[: max(0, len(reply.ids) - 1)]).decode(errors="ignore")
        assert not reply.ids or len(shorter) < len(shown)
