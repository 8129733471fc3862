"""How far the model reads, as both doors have it tried: a corpus is read at one length after the other, each kept.

Between two lengths a question that waits is answered. What is planted and how it is scored is `reach`'s.
"""

import logging
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread

from app.desk import Desk
from app.reach.kept import KeptReadings, Reached
from app.reach.results import Reading
from app.reach.run import FIRST, REPLY_TOKENS, Grown, Run, Step, Trial
from engine.backend import Corpus
from engine.errors import Cancelled, LongdeskError, SessionBusy

__all__ = [
    "FIRST",
    "OWN",
    "REPLY_TOKENS",
    "Grown",
    "Reached",
    "Reading",
    "Readings",
    "Standing",
    "Step",
    "Trial",
    "farthest",
    "reach",
    "reached",
]

OWN = Path(__file__).resolve().parents[1] / "engine"  # what is read where nothing is named: a part of this program
_LOG = logging.getLogger(__name__)
_PATIENCE_S = 10.0
_MISTAKE = "The reading broke off because of a mistake in Longdesk; the program's log says where."


def reach(desk: Desk, corpus: Corpus, trial: Trial, *, cancel: Flag) -> Generator[str | Step | Grown, None, None]:
    """Tries how far the model reads. Sentences on what was capped; how far it is; the reading after each length.

    Raises DoesNotFit and UsageError before anything runs, Cancelled where it was stopped: the lengths that are done are
    kept, and are not read again.
    """
    legible = desk.legible(corpus)
    desk.backend().encode_ahead(legible.sources)  # the corpus is the user's, what is planted in copies of it is not
    run = Run(legible, trial, backend=desk.backend(apart=True), settings=desk.settings)
    yield from run.told
    yield Grown(run.reading)
    for tokens in run.due:
        with desk.lent(cancel) as engines:
            is_kept = yield from run.read(tokens, cancel, engines.local)
        if not is_kept:
            yield f"What was found at {tokens:,} tokens cannot be kept: the home cannot be written."
        yield Grown(run.reading)


def reached(desk: Desk) -> Reached | None:
    """How far the model in use was found to read here, with its KV type; None where nobody tried. Raises as backend
    does."""
    return KeptReadings(desk.settings.home).reached(desk.backend().digest(), desk.settings.kv_type)


def farthest(desk: Desk) -> Reading | None:
    """The whole of that reading. Raises as reached does."""
    return KeptReadings(desk.settings.home).farthest(desk.backend().digest(), desk.settings.kv_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a reading is that runs in this process, or ran. error: why it ended early."""

    running: bool = True
    stopping: bool = False
    step: Step | None = None
    reading: Reading | None = None
    told: tuple[str, ...] = ()
    error: str | None = None


class Readings:
    """At most one reading at a time in the process that serves the page; it goes on when the tab is closed."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._standing: Standing | None = None
        self._cancel, self._thread, self._lock = Flag(), Thread(), Lock()

    @property
    def standing(self) -> Standing | None:
        """Of the one that runs, or of the last one; None where there was none. A new value replaces it."""
        standing = self._standing
        stopping = standing is not None and standing.running and self._cancel.is_set()
        return replace(standing, stopping=True) if standing is not None and stopping else standing

    def begin(self, session_id: str | None, trial: Trial) -> None:
        """Begins one with the sources of a session that are sent; None for Longdesk's own program. Raises SessionBusy
        while another runs."""
        with self._lock:
            if self._standing is not None and self._standing.running:
                raise SessionBusy("A reading is running.", "Wait until it is done, or stop it.")
            self._standing, self._cancel = Standing(), Flag()
            self._thread = Thread(target=self._run, args=(session_id, trial), name="reading", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends it soon; the lengths that are done are kept."""
        self._cancel.set()

    def close(self) -> None:
        """Stops it and waits a while."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_S)

    def _run(self, session_id: str | None, trial: Trial) -> None:
        error = None
        try:
            corpus = self._desk.read([OWN]) if session_id is None else self._sent(session_id)
            with closing(reach(self._desk, corpus, trial, cancel=self._cancel)) as steps:
                for step in steps:
                    self._take(step)
        except Cancelled:
            error = None
        except LongdeskError as broke:
            error = str(broke)
        except Exception:  # a bug: the page goes on, and says so
            _LOG.exception("The reading broke off")
            error = _MISTAKE
        finally:
            self._change(running=False, error=error)

    def _sent(self, session_id: str) -> Corpus:
        """The sources of a session that are sent."""
        return Corpus(tuple(each.source for each in self._desk.record(session_id).sources if each.enabled))

    def _take(self, step: str | Step | Grown) -> None:
        if isinstance(step, str):
            self._change(told=(*(self._standing.told if self._standing else ()), step))
        elif isinstance(step, Grown):
            self._change(reading=step.reading)
        else:
            self._change(step=step)

    def _change(self, **facts: object) -> None:
        self._standing = replace(self._standing or Standing(), **facts)  # type: ignore[arg-type]
