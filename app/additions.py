"""Sources on their way into sessions: read in threads of the one process that serves the page, whoever looks at it.

An addition holds how far it has come, as a value that any thread may read. What is added to one session is read in
turn, so that it joins in the order in which it was given; different sessions do not wait for each other. Reading is
left to `intake`, drawing to the page, which polls. No Streamlit here: a thread of this module must not touch it.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from threading import Event, Lock, Thread
from typing import Any, Protocol

from app.question import Notice
from app.reading import Progress, Tell
from engine.backend import Skipped
from engine.errors import Cancelled, LongdeskError
from storage.identity import draw_id

_LOG = logging.getLogger(__name__)
_POLL_S = 0.1
_PATIENCE_S = 10.0  # how long the end of the program waits for what is being written down
_MISTAKE = "Reading broke off because of a mistake in Longdesk; the program's log says where."
_UNTITLED = "New session"


class Delivery(Protocol):
    """What was read, see `intake`."""

    @property
    def title(self) -> str: ...
    @property
    def has_sources(self) -> bool: ...
    @property
    def refused(self) -> tuple[Skipped, ...]: ...


class Adder(Protocol):
    """What an addition needs of Intake."""

    def add(self, session_id: str, delivery: Any) -> tuple[Notice, ...]: ...
    def discard(self, delivery: Any) -> None: ...


class Beginner(Protocol):
    """What it needs of Desk."""

    def begin_session(self, title: str, *, with_sources: bool = True, session_id: str | None = None) -> object: ...


class Asker(Protocol):
    """What it needs of Jobs."""

    def ask(self, session_id: str, text: str, *, refused: tuple[Skipped, ...] = ()) -> object: ...


Ask = Callable[[str, str], object]
"""Asks a question in a session; raises LongdeskError where it cannot."""

Read = Callable[[str | None, Tell], Delivery]
"""Takes the session that it is for, None for one that is not begun yet. What is told of may raise, to end it."""


class Stage(Enum):
    """What an addition is at."""

    WAITING = auto()  # for what is read before it
    READING = auto()
    ADDING = auto()  # written down; it cannot be stopped any more
    DONE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far an addition has come. progress: None until its first file.

    Once it is done: stopped, whether the user did it; error, why nothing was added, or not asked; notices, what it
    changed of what was there; refused, see Delivery. question: that is asked once it is done.
    """

    stage: Stage = Stage.WAITING
    progress: Progress | None = None
    stopped: bool = False
    error: str | None = None
    notices: tuple[str, ...] = ()
    refused: tuple[Skipped, ...] = ()
    question: str | None = None


class Addition:
    """Something that was handed over to one session. title: what the user would call it. is_new: whether the session
    was to begin with it. lost: what did not come with it. before: what is read into the same session first. ask: who
    asks the question that waits for it, Jobs where it is None."""

    def __init__(
        self,
        session_id: str,
        title: str,
        *,
        is_new: bool,
        question: str | None,
        lost: tuple[Skipped, ...] = (),
        before: "Addition | None" = None,
        ask: "Ask | None" = None,
    ) -> None:
        self.id, self.asks = draw_id(), ask
        self.session_id, self.title, self.is_new, self.lost = session_id, title, is_new, lost
        self._before = before
        self._standing = Standing(question=question)
        self._lock, self._ended = Lock(), Event()

    @property
    def standing(self) -> Standing:
        """As of now. A new value replaces it; this one never changes."""
        return self._standing

    @property
    def running(self) -> bool:
        return self._standing.stage is not Stage.DONE

    def stop(self) -> None:
        """Ends it at once, and nothing of it is added. Does nothing once it is being written down."""
        with self._lock:
            if self._standing.stage in (Stage.WAITING, Stage.READING):
                self._standing = replace(self._standing, stage=Stage.DONE, stopped=True)
                self._ended.set()

    def join(self, timeout_s: float) -> None:
        """Waits until it is done."""
        self._ended.wait(timeout_s)

    def ask(self, question: str) -> bool:
        """Has this asked once it is done. False where that is too late, or another question waits already."""
        with self._lock:
            is_early = self._standing.stage in (Stage.WAITING, Stage.READING) and self._standing.question is None
            if is_early:
                self._standing = replace(self._standing, question=question)
            return is_early

    def wait(self) -> None:
        """Until it is its turn, or it is stopped."""
        before, self._before = self._before, None
        while before is not None and before.running and self.running:
            before.join(_POLL_S)

    def tell(self, progress: Progress) -> None:
        """How far it is. Raises Cancelled where it was stopped."""
        self.reach(Stage.READING, progress)

    def reach(self, stage: Stage, progress: Progress | None = None) -> None:
        """The next stage. Raises Cancelled where it was stopped."""
        with self._lock:
            if self._standing.stopped:
                raise Cancelled("Reading was stopped.", "Nothing was added.")
            self._standing = replace(self._standing, stage=stage, progress=progress or self._standing.progress)

    def end(self, **facts: Any) -> None:
        """It is done. facts: of its Standing."""
        with self._lock:
            if self.running:
                self._standing = replace(self._standing, **facts, stage=Stage.DONE)
                self._ended.set()


class Additions:
    """The additions of this process. Safe to use from several threads."""

    def __init__(self, desk: Beginner, intake: Adder, jobs: Asker, *, count: Callable[[str], object]) -> None:
        """count: a session with what was added, before it is said to be done: then nobody who looks at it waits."""
        self._desk, self._intake, self._jobs, self._count = desk, intake, jobs, count
        self._running: list[Addition] = []
        self._coming: set[str] = set()  # sessions that have an id and nothing else yet
        self._lock = Lock()

    def add(
        self,
        session_id: str | None,
        title: str,
        read: Read,
        *,
        question: str | None = None,
        lost: tuple[Skipped, ...] = (),
        ask: Ask | None = None,
    ) -> Addition:
        """Begins to read something into a session, or into a new one, which is begun once that was read.

        question: asked after that, also where nothing can be read; not where it is stopped. lost, ask: see Addition.
        """
        with self._lock:
            into = session_id or draw_id()
            if session_id is None:
                self._coming.add(into)
            before = next((each for each in reversed(self._running) if each.session_id == into), None)
            is_new = into in self._coming
            addition = Addition(into, title, is_new=is_new, question=question, lost=lost, before=before, ask=ask)
            self._running.append(addition)
        Thread(target=self._run, args=(addition, read), name=f"addition-{into}", daemon=True).start()
        return addition

    def running(self) -> tuple[Addition, ...]:
        """All that are not done, in the order in which they were given."""
        with self._lock:
            return tuple(each for each in self._running if each.running)

    def of(self, session_id: str | None) -> tuple[Addition, ...]:
        """Those of one session."""
        return tuple(each for each in self.running() if each.session_id == session_id)

    def is_coming(self, session_id: str) -> bool:
        """Whether a session will be begun with what is being read."""
        return not self.has_begun(session_id) and bool(self.of(session_id))

    def has_begun(self, session_id: str) -> bool:
        """Whether there is this session, as far as it was to begin with what was read."""
        return session_id not in self._coming

    def ask_after(self, session_id: str, question: str) -> bool:
        """Has this asked once all that is read into the session has come. False where nothing is, or one waits."""
        return any(each.ask(question) for each in self.of(session_id)[-1:])

    def forget(self, session_id: str) -> None:
        """The session was deleted."""
        for each in self.of(session_id):
            each.stop()

    def close(self) -> None:
        """Stops all; waits for what is being written down."""
        running = self.running()
        for each in running:
            each.stop()
        for each in running:
            each.join(_PATIENCE_S)

    def _run(self, addition: Addition, read: Read) -> None:
        facts: dict[str, Any] = {}
        try:
            addition.wait()
            facts = self._facts(addition, lambda: self._read_and_add(addition, read))
            if (question := addition.standing.question) is not None:
                asked = self._facts(addition, lambda: self._ask(addition, question, facts.get("refused", ())))
                errors = [each["error"] for each in (facts, asked) if "error" in each]
                facts |= {"error": " ".join(errors)} if errors else {}
        finally:
            addition.end(**facts)
            with self._lock:
                self._running.remove(addition)

    def _facts(self, addition: Addition, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What comes of it, or why it failed."""
        try:
            return work()
        except Cancelled:
            return {}
        except LongdeskError as error:
            return {"error": str(error)}
        except Exception:  # a bug: the page goes on, and says so
            _LOG.exception("Reading %s into session %s broke off", addition.title, addition.session_id)
            return {"error": _MISTAKE}

    def _read_and_add(self, addition: Addition, read: Read) -> dict[str, Any]:
        is_coming = addition.session_id in self._coming
        delivery = read(None if is_coming else addition.session_id, addition.tell)
        try:
            addition.reach(Stage.ADDING)
        except Cancelled:
            self._intake.discard(delivery)
            raise
        self._begin(addition.session_id, delivery.title, with_sources=delivery.has_sources)
        notices = self._intake.add(addition.session_id, delivery)
        with suppress(LongdeskError):  # whoever looks at it hears of it
            self._count(addition.session_id)
        return {"notices": tuple(notice.text for notice in notices), "refused": delivery.refused}

    def _begin(self, session_id: str, title: str, *, with_sources: bool) -> None:
        with self._lock:
            if session_id in self._coming:
                self._desk.begin_session(title, with_sources=with_sources, session_id=session_id)
                self._coming.discard(session_id)

    def _ask(self, addition: Addition, question: str, refused: tuple[Skipped, ...]) -> dict[str, Any]:
        addition.reach(Stage.ADDING)
        self._begin(addition.session_id, _UNTITLED, with_sources=False)
        if addition.asks is not None:
            addition.asks(addition.session_id, question)
        else:
            self._jobs.ask(addition.session_id, question, refused=refused)
        return {}
