"""Summaries that are made while the tab is closed: a thread each, at most one a session, in the process that serves the
page. No Streamlit here."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Event as Flag
from threading import Lock, Thread
from typing import Protocol

from app.passes.summary.steps import Planned, Step, Summarized, SummaryEvent
from app.question import Notice, Waiting
from engine.errors import LongdeskError, SessionBusy

_LOG = logging.getLogger(__name__)
_PATIENCE_S = 10.0  # how long the end of the program waits for summaries to stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How far a summary has come. step: the one that runs, or was done last. error: why it broke off."""

    running: bool = True
    stopping: bool = False
    waiting: int = 0  # questions that come first, the one that has the engine included
    planned: Planned | None = None
    step: Step | None = None
    notices: tuple[str, ...] = ()
    error: str | None = None


class Summarizer(Protocol):
    """What is needed of Desk."""

    def summarize(self, session_id: str, *, cancel: Flag) -> Iterator[SummaryEvent]: ...


class Summaries:
    """The summaries under way, and how the last one of each session ended."""

    def __init__(self, desk: Summarizer) -> None:
        self._desk, self._lock = desk, Lock()
        self._making: dict[str, Making] = {}
        self._cancel: dict[str, Flag] = {}
        self._threads: dict[str, Thread] = {}

    def begin(self, session_id: str) -> None:
        """Makes or renews a session's summary. Raises SessionBusy while that is under way."""
        with self._lock:
            if (before := self._making.get(session_id)) is not None and before.running:
                raise SessionBusy("This session is being summarized.", "Wait until it is done, or stop it.")
            self._making[session_id], self._cancel[session_id] = Making(), Flag()
            thread = Thread(target=self._run, args=(session_id,), name=f"summary-{session_id}", daemon=True)
            self._threads[session_id] = thread
            thread.start()

    def of(self, session_id: str) -> Making | None:
        """As of now."""
        return self._making.get(session_id)

    def stop(self, session_id: str) -> None:
        """What was read is kept."""
        if session_id in self._cancel:
            self._cancel[session_id].set()
            self._change(session_id, stopping=True)

    def close(self) -> None:
        """Stops all of them."""
        with self._lock:
            cancels, threads = list(self._cancel.values()), list(self._threads.values())
        for cancel in cancels:
            cancel.set()
        for thread in threads:
            thread.join(_PATIENCE_S)

    def _run(self, session_id: str) -> None:
        error, is_there = None, False
        try:
            for event in self._desk.summarize(session_id, cancel=self._cancel[session_id]):
                self._hear(session_id, event)
                is_there = isinstance(event, Summarized)
        except LongdeskError as failed:
            error = str(failed)
        except Exception:  # a bug: the page goes on, and says so
            _LOG.exception("The summary of session %s broke off", session_id)
            error = (
                "The summary broke off because of a mistake in Longdesk; the program's log says where. Go on with it."
            )
        finally:
            late = {"stopping": False} if is_there else {}  # Stop came when it was done
            self._change(session_id, running=False, waiting=0, error=error, **late)

    def _hear(self, session_id: str, event: SummaryEvent) -> None:
        match event:
            case Waiting():
                self._change(session_id, waiting=event.before)
            case Planned():
                self._change(session_id, waiting=0, planned=event)
            case Step():
                self._change(session_id, waiting=0, step=event)
            case Notice():
                self._change(session_id, notices=(*self._making[session_id].notices, event.text))

    def _change(self, session_id: str, **changes: object) -> None:
        with self._lock:
            self._making[session_id] = replace(self._making[session_id], **changes)  # type: ignore[arg-type]
