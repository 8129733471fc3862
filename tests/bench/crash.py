"""Kills: of an engine at 70 % of a long prefill, and of everything while a KV state is being written.

Of the first: how much of the prompt the next question reads again. Of the second, at many moments from a state's first
byte to a little behind its last: how often a broken state was left behind, the one before was lost, or the next
question failed.
"""

import os
import random
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag

from app.desk import Desk
from app.question import Answered, Question
from app.settings import Settings
from engine.runtime.events import Prefill
from storage.records import Turn
from tests.bench.corpus import corpus_of
from tests.bench.table import Row
from tests.bench.victim import OPTIONS, Victim
from tests.command_line import CommandLine
from tests.models.cache import cached

_N_TOKENS, _KILLED_AT, _LIMIT = 41_000, 0.7, 0.5
_N_KILLS, _MOST_ROUNDS = 24, 60
_WRITTEN_TOKENS = 1_500  # 48 MiB


def rows() -> Iterator[Row]:
    """Tokens decoded by the question after the kill, against all of its prompt; what was broken, against all kills."""
    yield _prefill()
    yield _writing()


def _prefill() -> Row:
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
    return Row("tokens read again after a kill at 70 % of a prefill", decoded, turn.prompt_tokens, "", _LIMIT)


def _ask(desk: Desk, session: str, *, kill_at: float = 2.0) -> Turn:
    """Asks; kills the engine at that share of the prefill."""
    for event in desk.ask(Question(text="What do they say of the harbour?", session=session), cancel=Flag()):
        if isinstance(event, Prefill) and event.done >= kill_at * event.total:
            engine = desk._engines.local.running
            if engine is not None and engine.pid is not None:
                os.kill(engine.pid, signal.SIGKILL)
    assert isinstance(event, Answered)
    return event.turn


def _writing() -> Row:
    """Asks again and again in one session, each question a process that is killed while it keeps its KV state."""
    with tempfile.TemporaryDirectory() as folder:
        home, corpus = Path(folder) / "home", Path(folder) / "corpus"
        model = str(cached("llama", n_layer=8, n_head=8, n_head_kv=8, head_dim=64))
        desk = Desk(Settings(home=home, model=model))
        try:
            corpus_of(_WRITTEN_TOKENS, folder=corpus, desk=desk)
        finally:
            desk.close()
        longdesk = CommandLine(home, model)
        first = longdesk("ask", corpus, "-q", "Where is the harbour?", *OPTIONS).answer
        victim = Victim(longdesk, first["session"])
        seconds = victim.ask().written_s
        moments, n_killed, n_wrong = random.Random(0), 0, 0
        for _ in range(_MOST_ROUNDS):
            if n_killed == _N_KILLS:
                break
            asked = victim.ask(kill_after_s=moments.uniform(0, 1.2 * seconds))
            n_killed += asked.is_half_written
            seconds = seconds if asked.is_half_written else asked.written_s  # others' load comes and goes
            verified = longdesk("snapshots", "verify", "--json").document
            # what the question before left behind is answered from, and nothing else is there
            is_right = asked.stop in ("length", "end") and asked.reused_tokens >= first["prompt_tokens"]
            n_wrong += not is_right or verified["broken"] != [] or verified["checked"] == 0
    assert n_killed == _N_KILLS, f"caught {n_killed} times only"
    return Row(f"wrong after {n_killed} kills while a KV state was written", n_wrong, n_killed, "", 0.0)
