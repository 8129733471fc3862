"""Service: what both ways in (api, tools) ask: one corpus, its sources as they were counted, and its questions. What is
heard of a question is at hand here too.

One engine answers, so questions come one after the other, whoever asks. Each is asked in a thread of its own and heard
in the event loop; whoever stops listening cancels it.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event as Flag
from threading import Lock, Thread

from app.desk import Desk
from app.question import Answered, Begun, DeskEvent, Notice, Question
from app.serve.asked import Asked, Image
from app.serve.conversations import Conversations
from engine.backend import Corpus, Document, Prefill, Source, Text, Thinking
from engine.errors import LongdeskError, SourceRefused
from storage.records import Turn

__all__ = ["MOST_AT_ONCE", "Begun", "Crowded", "Heard", "Prefill", "Reply", "Service", "Source", "Text", "Thinking"]

MOST_AT_ONCE = 32  # questions that run or wait
_PATIENCE_S = 30.0  # how long the end of the program waits for answers to stop


class Crowded(LongdeskError):
    """So many questions wait that another one would not be answered in time."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of an answer: its turn as it is kept, with all that was found for it, and what its asker should know."""

    turn: Turn
    notices: tuple[str, ...]


Heard = DeskEvent | Reply


class Service:
    """Questions about one corpus. session: see Conversations."""

    def __init__(self, desk: Desk, corpus: Corpus, session: str | None = None) -> None:
        self.settings, self.about = desk.settings, desk.about()
        count = desk.count(corpus)
        self.plan, self.n_tokens = desk.plan(count), count.total_tokens
        self._sources = {source.path: source for source in count.sources}
        self._documents = {document.path: document for document in count.documents}
        self._desk, self._conversations = desk, Conversations(desk, corpus, session)
        self._running: dict[Thread, Flag] = {}
        self._lock = Lock()
        self._closed = False

    @property
    def sources(self) -> tuple[Source, ...]:
        """Those that the model can read, in the corpus's order."""
        return tuple(self._sources.values())

    def source(self, path: str) -> Source | None:
        """That of a path; None where the corpus has none. No file is opened."""
        return self._sources.get(path)

    def document(self, path: str) -> Document:
        """That of a source's path."""
        return self._documents[path]

    def ask(self, asked: Asked, *, cancel: Flag) -> Iterator[Heard]:
        """See Desk.ask. Ends with Reply, or without one where it was cancelled before it began.

        Raises as Desk.ask, and UsageError for another's session.
        """
        talks = self._conversations
        attached = self._read(asked.images)
        earlier = self._read([image for said in asked.past for image in said.images])
        place = (
            talks.claim(asked.session)
            if asked.session is not None
            else talks.enter(asked.past, earlier, begins=bool(attached.sources), text=asked.text)
        )
        settings = asked.settings or self.settings
        question = Question(
            text=asked.text,
            corpus=talks.corpus if place.session is None else attached,
            session=place.session,
            only=None if asked.only is None else asked.only | {source.path for source in attached.sources},
            settings=asked.settings,
            own=frozenset(name for name in settings.OWN if getattr(settings, name) != getattr(self.settings, name)),
        )
        begun, notices, is_free = None, [], False
        try:
            with closing(self._desk.ask(question, cancel=cancel)) as events:
                for event in events:
                    if isinstance(event, Begun):
                        begun = event.turn
                    elif isinstance(event, Notice):
                        notices.append(event.text)
                    elif isinstance(event, Answered) and begun is not None and not is_free:
                        is_free = True  # what may follow keeps nobody from going on in the session
                        talks.leave(place, answered=begun.session_id)
                    yield event
            if begun is not None:
                [turn] = [each for each in self._desk.turns(begun.session_id) if each.id == begun.id]
                yield Reply(turn, tuple(notices))
        finally:
            if not is_free:
                talks.leave(place, answered=begun.session_id if begun is not None else None)

    def _read(self, images: Sequence[Image]) -> Corpus:
        """Images of messages as sources. Raises SourceRefused for what is none."""
        if not images:
            return Corpus()
        with TemporaryDirectory(prefix="longdesk-") as folder:
            files = {image.path: Path(folder, image.path) for image in images}
            for image in images:
                files[image.path].write_bytes(image.data)
            corpus = self._desk.read(list(files.values()), uploaded=True)
        for one in corpus.skipped:
            raise SourceRefused(f"An image of a message was not read: {one.reason}.", "Send it as PNG or JPEG.")
        if any(not source.pictures for source in corpus.sources):
            raise SourceRefused("An image of a message is none that can be looked at.", "Send it as PNG or JPEG.")
        return corpus

    async def hear(self, asked: Asked) -> AsyncGenerator[Heard, None]:
        """The same in an event loop. Left before its end, it cancels the question. Raises Crowded too."""
        loop, heard, cancel = asyncio.get_running_loop(), asyncio.Queue[Heard | BaseException | None](), Flag()

        def tell(item: Heard | BaseException | None) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(heard.put_nowait, item)

        def run() -> None:
            try:
                for event in self.ask(asked, cancel=cancel):
                    tell(event)
                tell(None)
            except Exception as error:
                tell(error)
            finally:
                with self._lock:
                    del self._running[thread]

        thread = Thread(target=run, name="question", daemon=True)
        self._admit(thread, cancel)
        try:
            while (item := await heard.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            cancel.set()

    def stop(self) -> None:
        """Stops all answers, keeping what they have written; no other begins."""
        with self._lock:
            self._closed = True
            for cancel in self._running.values():
                cancel.set()

    def close(self) -> None:
        """The same, and waits until they have stopped."""
        self.stop()
        for thread in list(self._running):
            thread.join(_PATIENCE_S)
        self._conversations.close()

    def _admit(self, thread: Thread, cancel: Flag) -> None:
        with self._lock:
            if self._closed:
                raise Crowded("The server is ending.", "Ask again when it runs.")
            if len(self._running) >= MOST_AT_ONCE:
                raise Crowded(f"{MOST_AT_ONCE} questions are waiting already.", "Ask again in a while.")
            self._running[thread] = cancel
            thread.start()
