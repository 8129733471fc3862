"""Answers that outlive the page that asked: one thread each, in the one process that serves the page.

A job holds what its answer has come to, as a value that any thread may read. Waiting for the engine, and writing turns
down, is done by Desk; drawing is left to the page, which polls. No Streamlit here: a job's thread must not touch it.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic
from typing import Protocol

from app.passes.progress import InPasses
from app.question import Answered, Begun, Cited, DeskEvent, Filled, Looking, Notice, Passes, Passing, Question, Waiting
from engine.backend import Checking, Loading, Plan, Prefill, Skipped, Text, Thinking
from engine.errors import LongdeskError, SessionBusy
from storage.records import Turn

_LOG = logging.getLogger(__name__)
_PATIENCE_S = 10.0  # how long the end of the program waits for answers to stop


class Phase(Enum):
    """What a job is doing."""

    STARTING = auto()  # the prompt is laid out and checked
    WAITING = auto()  # another question has the engine
    CHECKING = auto()  # the model file is read, to see whether a kept KV cache is its own
    LOADING = auto()
    READING = auto()
    THINKING = auto()
    WRITING = auto()
    CITING = auto()  # the answer is there; words are looked for that show it
    DONE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an answer has come. turn is None until the question was accepted; error is set where it never was."""

    phase: Phase = Phase.STARTING
    before: int = 1  # questions that come before this one, while it waits
    turn: Turn | None = None
    plan: Plan | None = None
    pictures: tuple[Looking, ...] = ()  # of the prompt
    loaded: float = 0.0  # share of the model file, checked or loaded
    prefill: Prefill | None = None  # of the prompt that is being read: in passes, each has its own
    passes: InPasses | None = None
    text: str = ""
    n_tokens: int = 0  # of the answer, so far
    thought: str = ""
    n_thought: int = 0  # tokens
    cited: Cited | None = None  # what was found last that shows the answer
    notices: tuple[str, ...] = ()
    error: str | None = None

    @property
    def running(self) -> bool:
        """Whether the answer is on its way. What shows it may still be looked for when it is there."""
        return self.phase not in (Phase.CITING, Phase.DONE)

    @property
    def citing(self) -> bool:
        """Whether words are looked for that show the answer, which is there: a next question ends that."""
        return self.phase is Phase.CITING

    @property
    def n_cited(self) -> int:
        """Statements that were looked at."""
        return self.cited.n_done if self.cited is not None else 0


class Asker(Protocol):
    """What a job needs of Desk."""

    def ask(self, question: Question, *, cancel: Flag) -> Iterator[DeskEvent]: ...
    def close(self) -> None: ...


class Drafts(Protocol):
    """Where what was typed in a session, and not asked yet, outlives the program."""

    def draft(self, session_id: str) -> str: ...
    def keep_draft(self, session_id: str, text: str) -> None: ...


class Job:
    """One question under way in one session. typed: its text as the user typed it.

    Until its turn stands in the store nothing else of it is kept, which may be long where it waits or much is counted:
    so that it outlives a program that is killed, its text is its session's draft until then.
    """

    def __init__(
        self, desk: Asker, session_id: str, question: Question, *, typed: str = "", drafts: Drafts | None = None
    ) -> None:
        self.session_id = session_id
        self.question = question
        self.typed = typed or question.text
        self.parked = ""  # what of it is the session's draft now
        self._drafts = drafts
        self._desk = desk
        self._cancel = Flag()
        self._progress = Progress()
        self._thread = Thread(target=self._run, name=f"answer-{session_id}", daemon=True)

    @property
    def progress(self) -> Progress:
        """As of now. A new value replaces it; this one never changes."""
        return self._progress

    @property
    def running(self) -> bool:
        """See Progress."""
        return self._progress.running

    @property
    def citing(self) -> bool:
        """See Progress."""
        return self._progress.citing

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop and has not ended yet."""
        return self.running and self._cancel.is_set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Asks it to stop; what it has written so far is kept."""
        self._cancel.set()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        self._park()
        try:
            for event in self._desk.ask(self.question, cancel=self._cancel):
                self._progress = advance(self._progress, event)
                if isinstance(event, Begun):
                    self._unpark()
        except LongdeskError as error:
            turn = self._progress.turn
            if turn is None or turn.stop is None:  # else the turn says it itself
                self._progress = replace(self._progress, error=str(error))
        except Exception:  # a bug: the page goes on, and says so
            _LOG.exception("The answer in session %s broke off", self.session_id)
            sentence = "The answer broke off because of a mistake in Longdesk; the program's log says where. Ask again."
            self._progress = replace(self._progress, error=sentence)
        finally:
            self._unpark()
            self._progress = replace(self._progress, phase=Phase.DONE)

    def _park(self) -> None:
        """Another draft stays: it was typed meanwhile, and nobody else has it."""
        with suppress(LongdeskError):  # a full disk: it is asked all the same
            if self._drafts is not None and self.typed and not self._drafts.draft(self.session_id):
                self.parked = self.typed
                self._drafts.keep_draft(self.session_id, self.typed)

    def _unpark(self) -> None:
        with suppress(LongdeskError):
            if self._drafts is not None and self.parked and self._drafts.draft(self.session_id) == self.parked:
                self._drafts.keep_draft(self.session_id, "")
        self.parked = ""


def advance(progress: Progress, event: DeskEvent) -> Progress:
    """The progress after one more event."""
    match event:
        case Waiting():
            return replace(progress, phase=Phase.WAITING, before=event.before)
        case Begun():
            begun = replace(progress, phase=Phase.STARTING, turn=event.turn, plan=event.plan, text=event.turn.text)
            thought = event.turn.thought.text if event.turn.thought is not None else ""
            return replace(begun, pictures=event.pictures, thought=thought)
        case Checking():
            return replace(progress, phase=Phase.CHECKING, loaded=event.share)
        case Loading():
            return replace(progress, phase=Phase.LOADING, loaded=event.share)
        case Prefill():
            return replace(progress, phase=Phase.READING, prefill=event)
        case Thinking():
            thought, text = progress.thought + event.text, "" if event.takes_text else progress.text
            phase = Phase.WRITING if event.takes_text else Phase.THINKING  # that thought has ended
            thinking = replace(progress, phase=phase, thought=thought, n_thought=event.n_tokens, text=text)
            thinking = replace(thinking, n_tokens=0) if event.takes_text else thinking
            return thinking if event.text else progress
        case Text():
            return replace(progress, phase=Phase.WRITING, text=progress.text + event.text, n_tokens=event.n_tokens)
        case Passes():
            return replace(progress, passes=InPasses(plan=event))
        case Passing():
            passes = progress.passes.after(event, monotonic()) if progress.passes is not None else None
            return replace(progress, passes=passes, prefill=None)
        case Notice():
            return replace(progress, notices=(*progress.notices, event.text))
        case Cited():
            return replace(progress, turn=event.turn, cited=event)
        case Answered():
            return replace(progress, phase=Phase.CITING, turn=event.turn)
    return progress


class Jobs:
    """The jobs of this process: at most one a session, the last one of each kept for its error and notices."""

    def __init__(
        self,
        desk: Asker,
        *,
        fill: Callable[[Question, Filled | None], Question] = lambda question, filled: question,
        drafts: Drafts | None = None,
    ) -> None:
        """fill: the question that a template made, or that its own text calls. See Desk.filled. drafts: see Job."""
        self._desk, self._fill, self._drafts = desk, fill, drafts
        self._jobs: dict[str, Job] = {}
        self._lock = Lock()
        self._closed = False

    def ask(
        self,
        session_id: str,
        text: str,
        *,
        refused: tuple[Skipped, ...] = (),
        beside: int | None = None,
        goes_on: int | None = None,
        filled: Filled | None = None,
        as_it_is: bool = False,
        only: frozenset[str] | None = None,
    ) -> Job:
        """Begins to answer. refused, beside, goes_on, only: see Question. filled: what a template made of it; without,
        a text that calls one is filled in here, unless it is asked as it is. Raises SessionBusy while an answer runs in
        this session, UsageError and InputRefused for what cannot be filled in."""
        question = Question(text=text, session=session_id, refused=refused, beside=beside, goes_on=goes_on, only=only)
        if goes_on is None and not as_it_is:
            question = self._fill(question, filled)
        return self._begin(session_id, question, text)

    def again(self, job: Job) -> Job:
        """Asks once more what was refused, with all that a template made of it. Raises SessionBusy as ask does."""
        return self._begin(job.session_id, job.question, job.typed)

    def _begin(self, session_id: str, question: Question, typed: str) -> Job:
        job = Job(self._desk, session_id, question, typed=typed, drafts=self._drafts)
        with self._lock:
            before = self._jobs.get(session_id)
            if self._closed or (before is not None and before.running):
                raise SessionBusy("An answer is running in this session.", "Wait until it is done, or stop it.")
            if before is not None:
                before.stop()  # what it still looks for is not to keep this one waiting
            self._jobs[session_id] = job
            job.start()
        return job

    def of(self, session_id: str) -> Job | None:
        """The session's running or last job in this process."""
        with self._lock:
            return self._jobs.get(session_id)

    def running(self) -> tuple[Job, ...]:
        with self._lock:
            return tuple(job for job in self._jobs.values() if job.running)

    def forget(self, session_id: str) -> None:
        """Drops a session's job that is done: its session was deleted, or its error was read."""
        with self._lock:
            job = self._jobs.get(session_id)
            if job is not None and not job.running:
                job.stop()
                del self._jobs[session_id]

    def close(self) -> None:
        """Stops all answers, keeping what they have written and the KV state, and closes Desk."""
        with self._lock:
            self._closed = True
            jobs = [job for job in self._jobs.values() if job.running or job.citing]
        for job in jobs:
            job.stop()
        for job in jobs:
            job.join(_PATIENCE_S)
        self._desk.close()
