"""An engine that is killed at 70 % of a long prefill: how much of the prompt the next question reads again."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag

from app.asking import Answered, Question
from app.desk import Desk
from app.settings import Settings
from engine.runtime.model import Prefill
from storage.turns import Turn
from tests.bench.corpus import corpus_of
from tests.bench.table import Row
from tests.models.cache import cached

_N_TOKENS, _KILLED_AT, _LIMIT = 41_000, 0.7, 0.5


def rows() -> Iterator[Row]:
    """Tokens decoded by the question after the kill, against all of its prompt."""
    with tempfile.TemporaryDirectory() as folder:
        home, corpus = Path(folder) / "home", Path(folder) / "corpus"
        desk = Desk(Settings(home=home, model=str(cached("scout", n_layer=4)), reply_tokens=8))
        try:
            corpus_of(_N_TOKENS, folder=corpus, desk=desk)
            session = desk.begin_session("bench").id
            desk.add_sources(session, desk.read([corpus]))
            killed = _ask(desk, session, kill_at=_KILLED_AT)
            assert killed.stop == "error", killed.stop
            turn = _ask(desk, session)
        finally:
            desk.close()
    assert turn.prompt_tokens is not None and turn.reused_tokens is not None
    decoded = turn.prompt_tokens - turn.reused_tokens
    yield Row("tokens read again after a kill at 70 % of a prefill", decoded, turn.prompt_tokens, "", _LIMIT)


def _ask(desk: Desk, session: str, *, kill_at: float = 2.0) -> Turn:
    """Asks; kills the engine at that share of the prefill."""
    for event in desk.ask(Question(text="What do they say of the harbour?", session=session), cancel=Flag()):
        if isinstance(event, Prefill) and event.done >= kill_at * event.total:
            engine = desk._engines.running
            if engine is not None and engine.pid is not None:
                os.kill(engine.pid, signal.SIGKILL)
    assert isinstance(event, Answered)
    return event.turn
