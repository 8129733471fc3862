"""How long a plan takes: a published model at ten million tokens, and the refusal of a corpus that does not fit."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from app.desk import Desk
from app.settings import Settings
from app.verdicts import refuse_misfit
from engine.corpus.rules import Rules
from engine.errors import DoesNotFit
from tests.bench.table import Row, seconds
from tests.command_line import CommandLine
from tests.models.cache import cached

_LIMIT_S, _REFUSAL_LIMIT_S = 3.0, 2.0
_TOKEN_KV_BYTES = 48 << 10


def rows() -> Iterator[Row]:
    """Seconds against the seconds that they may take; each the first time in a new home, nothing cached."""
    with tempfile.TemporaryDirectory() as home:
        longdesk = CommandLine(Path(home), "starter")

        def plan() -> None:
            assert longdesk("plan", "--model", "scout-q4_k_m", "--ctx", "10M").code == 3

        for name in ("first", "again"):
            yield Row(f"plan of Scout at 10M tokens, {name}", seconds(plan), _LIMIT_S, "s", 1.0)
    with tempfile.TemporaryDirectory() as home:
        yield Row("refusal of what does not fit, after counting", _refusal(Path(home)), _REFUSAL_LIMIT_S, "s", 1.0)


def _refusal(home: Path) -> float:
    """A corpus whose KV cache takes 1.3 times the memory that is free, on a model with Scout's KV cache."""
    n_words = int(1.3 * psutil.virtual_memory().available / _TOKEN_KV_BYTES / 3)
    corpus = home / "corpus"
    corpus.mkdir()
    for at in range(5):
        (corpus / f"{at}.txt").write_text(" ".join(f"w{at}{word % 9_973}" for word in range(n_words // 5)))
    model = cached("scout", n_layer=48, n_head=8, n_head_kv=8, head_dim=128)
    desk = Desk(Settings(home=home, model=str(model)))
    try:
        desk.warm_up()
        counted = desk.count(desk.read([corpus], Rules()))

        def refuse() -> None:
            try:
                refuse_misfit(desk.plan(counted))
            except DoesNotFit:
                return
            raise AssertionError("it fits")

        return seconds(refuse)
    finally:
        desk.close()
