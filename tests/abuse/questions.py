"""Many questions to one process, and whether it grows by them: through Desk, and to the engine's process alone.

Each in a child of its own: `python -m tests.abuse.questions`, with a job as JSON coming in.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from threading import Event as Flag

from tests.abuse.growth import Held, held_by, rows_of
from tests.abuse.model import talker
from tests.bench.table import Row
from tests.errand import sent

_TURNS = 10  # of a session, then a new one begins
_REPLY = 12


def rows(n: int) -> Iterator[Row]:
    """Of n questions each."""
    for way, name in (("desk", f"{n:,} questions through Desk"), ("engine", f"{n:,} questions to one engine")):
        found = sent("tests.abuse.questions", {"way": way, "n": n})
        yield Row(f"without an answer, {name}", found["n_failed"], n, "", 0.0)
        for process, samples in found["samples"].items():
            yield from rows_of(f"{name}: {process}", [Held(**each) for each in samples])


def _through_desk(n: int) -> dict[str, object]:
    """Sessions of ten turns over a small corpus; every third session asks one of its questions again beside it."""
    import os

    from app.desk import Desk
    from app.question import Answered, Question
    from app.settings import Settings

    ours, engines, n_failed = list[Held](), list[Held](), 0
    with tempfile.TemporaryDirectory() as folder:
        (corpus := Path(folder, "corpus")).mkdir()
        (corpus / "a.txt").write_text("The harbour light is on.\n" * 40)
        settings = Settings(
            home=Path(folder, "home"), model=str(talker()), reply_tokens=_REPLY, n_ctx=8_192, quotes=False
        )
        desk, session = Desk(settings), ""
        try:
            for number in range(n):
                if number % _TURNS == 0:
                    session = desk.begin_session(f"session {number}").id
                    desk.add_sources(session, desk.read([corpus]))
                beside = 0 if number % (3 * _TURNS) == _TURNS - 1 else None
                question = Question(text=f"Question {number}: what is on?", session=session, beside=beside)
                told = [each for each in desk.ask(question, cancel=Flag()) if isinstance(each, Answered)]
                n_failed += not told or told[0].turn.stop not in ("length", "end")
                if number % max(1, n // 100) == 0:
                    engine = desk._engines.local.running
                    ours.append(held_by([os.getpid()]))
                    engines.append(held_by([engine.pid] if engine is not None and engine.pid is not None else []))
        finally:
            desk.close()
    return {"n_failed": n_failed, "samples": {"the page's process": ours, "its engine": engines}}


def _to_the_engine(n: int) -> dict[str, object]:
    """Prompts of random ids, some of which share their beginning with the one before; the parent's side counts too."""
    import os

    import numpy as np

    from engine.local.process import EngineProcess
    from engine.memory.budget import Placement
    from engine.prompt.prompt import Part, Prompt, Segment
    from engine.runtime.events import Finished, Sampling
    from engine.runtime.settings import EngineSettings

    drawn, samples, n_failed = np.random.default_rng(0), list[Held](), 0
    engine = EngineProcess(EngineSettings(model=talker(), placement=Placement(n_ctx=4_096)))
    ids = np.zeros(0, dtype=np.int32)
    try:
        for number in range(n):
            kept = ids[: int(drawn.integers(0, len(ids) + 1))]
            ids = np.concatenate([kept, drawn.integers(32, 126, int(drawn.integers(10, 400)), dtype=np.int32)])[-3_000:]
            prompt = Prompt((Segment(Part.SOURCE, ids),))
            *_, last = engine.generate(prompt, Sampling(max_tokens=_REPLY), cancel=Flag())
            n_failed += not isinstance(last, Finished) or last.stop not in ("length", "end")
            if number % max(1, n // 100) == 0 and engine.pid is not None:
                samples.append(held_by([os.getpid(), engine.pid]))
    finally:
        engine.close()
    return {"n_failed": n_failed, "samples": {"both processes": samples}}


def main() -> None:
    """Asks, and prints what was held meanwhile."""
    job = json.load(sys.stdin)
    found = (_through_desk if job["way"] == "desk" else _to_the_engine)(job["n"])
    json.dump(found, sys.stdout, default=asdict)


if __name__ == "__main__":
    main()
