"""Desk: reading, counting, planning and asking, for the page and the command line alike. No click, no Streamlit.

One Desk serves a process, and whoever stands above it reaches nothing below it. Questions run one at a time, whoever
asks; everything else may be called from any thread. How one question runs is left to `answering`, what it sends to
`next_turn`, which engine runs to `engines`.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread, Timer
from typing import TYPE_CHECKING

from app.archive import Archive
from app.choosing import Choosing
from app.counting import Count, count, legible
from app.dates import today
from app.engines import Engines
from app.local_engine import Running
from app.next_turn import documents_of, prepare, standing_instruction
from app.question import DeskEvent, Filled, Hold, Line, Notice, Question, Unwanted, with_template
from app.reading import Opener, Tell, open_given, read, read_to_count
from app.session_settings import begun_with
from app.settings import Settings
from app.sources.joining import arrange, arrived, join_session
from engine.backend import Backend, Corpus, Exchange, Plan, Prompt, Wanted
from engine.corpus.rules import Rules
from engine.errors import Cancelled, LongdeskError
from engine.memory.planner import Planner
from storage.records import Session

if TYPE_CHECKING:  # and within what needs them: counting does without
    from app.kv.disk import Tier
    from app.passes.outline import Outline
    from app.passes.summary.summarizing import Summarizing
    from app.previews import Preview
    from engine.runtime.checkpoint import Speeds

_IDLE_S = 5.0  # without a question, until the KV cache is saved


class Desk(Archive, Choosing):
    """Everything Longdesk does, over one home and at most one running engine.

    backend: the engine that is asked in place of the one that the settings name. speeds: what this machine is taken to
    do in place of what is measured; None to measure. Nothing is opened before it is needed: planning for a model reads
    no database.
    """

    _engines: Engines

    def __init__(self, settings: Settings, *, backend: Backend | None = None, speeds: "Speeds | None" = None) -> None:
        super().__init__(settings)
        self._engines = Engines(settings, lambda: self._store.snapshots, backend=backend, speeds=speeds)
        self._line, self._learning = Line(), Lock()
        self._closed = False
        self._idle = Timer(_IDLE_S, lambda: None)

    # the engine

    @property
    def engine(self) -> Running | None:
        """The engine that runs in this process, if one does."""
        return self._engines.local.status()

    def free_bytes(self) -> int:
        """Of main memory, as the next engine sees it."""
        return self._engines.local.free_ram().free_bytes

    # a corpus

    def read(
        self,
        paths: Sequence[Path],
        rules: Rules = Rules(),
        *,
        uploaded: bool = False,
        tell: Tell | None = None,
        open_path: Opener = open_given,
    ) -> Corpus:
        """What lies at these paths, images too: whether they are seen is up to the model that a session is asked with.
        The ids of its text are made meanwhile, where that can be used.

        uploaded: the paths are copies; where they lie and when they were written means nothing. Which pages are drawn
        is up to the settings where the rules do not say it. open_path: opens each path. Raises UsageError for a path
        that is not there, and as open_path does.
        """
        return read(paths, rules, self.settings, self.backend, uploaded=uploaded, tell=tell, open_path=open_path)

    def read_to_count(
        self, paths: Sequence[Path], rules: Rules = Rules(), *, read_again: bool = False, tell: Tell | None = None
    ) -> Corpus:
        """The same, to be counted and no more: see `reading`. Raises as read and backend do."""
        return read_to_count(paths, rules, self.settings, self.backend(), read_again=read_again, tell=tell)

    def legible(self, corpus: Corpus) -> Corpus:
        """What of a corpus the model can read: one that cannot see skips images and scans. Raises as backend does."""
        return legible(corpus, self.about())

    def count(self, corpus: Corpus) -> Count:
        """What each source costs, listed as the corpus is; the prompt has them in the order that a session would.

        What the model cannot see is listed as skipped. Raises as backend does.
        """
        backend = self.backend()
        read = legible(corpus, backend.about)
        system = standing_instruction(self.settings, bool(read.sources))
        return count(read, arrange(self._store.sources, read.sources), backend=backend, system=system)

    # plans

    def wake(self) -> None:
        """Lets llama.cpp be loaded for a plan while the model's file is found and read."""
        if not self._engines.is_elsewhere(self.settings.model):
            self._engines.local.wake()

    def warm_up(self) -> None:
        """Lets llama.cpp look at the model while a corpus is still being read and counted: a plan will ask it soon."""
        if not self._engines.is_elsewhere(self.settings.model):
            Thread(target=self._engines.local.look_at, args=(self.settings.model,), daemon=True).start()

    def plan(self, count: Count | None = None, *, wanted: Wanted | None = None) -> Plan:
        """Whether a counted corpus and a reply fit; without one, what the model alone needs. Nothing is loaded.

        wanted: what is asked of the plan, the settings' own where it is None.
        """
        wanted = wanted or self.settings.wanted
        if count is None:
            return self.backend().plan(Prompt(()), wanted)
        return self.backend().plan(count.prompt, wanted, [Exchange("", count.documents)])

    def plan_for(self, model: str | None, wanted: Wanted, *, prompt_tokens: int = 0) -> Plan:
        """The plan for any GGUF, server or catalogue name, also one that is not on this machine; None is the current
        model, with its projector. Raises ModelRefused, UsageError."""
        if model is None and not self._engines.is_elsewhere(self.settings.model):
            self._engines.local.refuse_projector(self.settings.model)
        own = self.settings.own_template if model in (None, self.settings.model) else None
        return self._engines.plan(model or self.settings.model, wanted, prompt_tokens=prompt_tokens, own=own)

    def planner(self, model: str | None = None) -> Planner:
        """For many plans against one look at the machine; they come without advice. Raises as plan_for does."""
        return self._engines.local.planner(model or self.settings.model)

    def window(self, model: str | None = None) -> int:
        """The most tokens that a model can have, also one of the catalogue. Raises as plan_for does."""
        return self._engines.window(model or self.settings.model)

    # sessions

    def begin_session(self, title: str, *, with_sources: bool = True, session_id: str | None = None) -> Session:
        """A new session without turns. Its date and its standing instruction stay as they are now. Its first question
        gives it its title, unless it was renamed by then. session_id: one that was drawn for it."""
        return self._store.sessions.create(
            title=title,
            model=self.settings.model,
            system=standing_instruction(self.settings, with_sources),
            frozen_date=today().isoformat(),
            settings=begun_with(self.settings, untitled=title).to_json(),
            session_id=session_id,
        )

    def delete_session(self, session_id: str) -> str:
        """Removes a session with its turns and its saved KV cache; its whole id. Raises SessionBusy, UsageError."""
        whole = self._store.sessions.get(session_id).id
        self._engines.local.forget(whole, self._store.sessions.delete(whole))
        return whole

    # a session's sources

    def add_sources(
        self, session_id: str, corpus: Corpus, *, in_folder: bool = False, brought_back: str | None = None
    ) -> tuple[Notice, ...]:
        """Adds sources to a session; they join at its next turn. One that is there already changes in place, one that
        was deleted from a folder that was read again is left out; the notices say so.

        in_folder: see joining.join. brought_back: the path that was listed as skipped, and is no more.
        """
        joining = join_session(self._store.sources, session_id, corpus, in_folder=in_folder)
        index = self._store.turns.next_index(session_id)
        self._store.sources.take_in(
            session_id, arrived(joining, corpus.skipped, turn_index=index, brought_back=brought_back)
        )
        return tuple(map(Notice, joining.sentences()))

    def send_note(self, session_id: str, number: int) -> tuple[str, tuple[Notice, ...]]:
        """Adds a note of a session to its sources; the path that it goes by, and what add_sources tells. Raises as
        kept_note does."""
        source = self.note_as_source(session_id, number)
        return source.path, self.add_sources(session_id, Corpus((source,)))

    # questions

    def preview(self, session_id: str, question: str = "", *, only: frozenset[str] | None = None) -> "Preview":
        """What a session's next question would cost. only: see Question. Raises UsageError without such a session."""
        from app.previews import preview_of

        session = self._store.sessions.get(session_id)
        backend = self.backend(session=session)
        turn = prepare(session, question, store=self._store, backend=backend, settings=self.settings, only=only)
        return preview_of(turn, documents_of(turn, backend), about=backend.about)

    def outlines(self, session_id: str, resumed: int | None = None) -> Iterator["Outline"]:
        """How a session's next question would be read in passes, or how this turn would go on: see outlines_of. Raises
        DoesNotFit where there is no way, and as preview does."""
        from app.answering import plan_of
        from app.passes.outline import outlines_of

        session = self._store.sessions.get(session_id)
        backend = self.backend(session=session)
        return outlines_of(plan_of(session, resumed, backend=backend, store=self._store, settings=self.settings))

    def filled(self, question: Question, filled: Filled | None = None) -> Question:
        """The question that a template made, or that its own text calls by /name; as it is where it calls none. Raises
        as Shelf.called does."""
        filled = filled or self.templates.called(question.text)
        return question if filled is None else with_template(question, filled, self.settings)

    def ask(self, question: Question, *, cancel: Flag) -> Generator[DeskEvent, None, None]:
        """Answers a question and keeps the turn. Answered comes also when it was cancelled or the engine broke; then
        Cited, as long as words are found that show the answer, which a next question ends.

        Waits while another question runs; cancelled by then, it ends without an event and leaves no trace. Raises,
        before the turn exists: DoesNotFit, SessionBusy, UsageError, ModelRefused."""
        from app.answering import answer

        self._idle.cancel()
        if not (yield from self._line.wait(cancel)):
            return
        try:
            session = self._store.sessions.get(question.session) if question.session is not None else None
            backend, uncited = (
                self.backend(session=session),
                Unwanted(cancel, lambda: self._closed or self._line.is_long),
            )
            yield from answer(
                question, backend=backend, store=self._store, settings=self.settings, cancel=cancel, uncited=uncited
            )
        except Cancelled:
            return  # before its turn existed: while it was planned
        finally:
            self._line.engine.release()
            self._save_when_idle()

    @contextmanager
    def lent(self, cancel: Flag) -> Iterator[Engines]:
        """The engines, once no question has them, for what is no question of a session. Raises Cancelled where that is
        what came first."""
        self._idle.cancel()
        if not self._line.take(cancel):
            raise Cancelled("It was stopped before it began.")
        try:
            yield self._engines
        finally:
            self._line.engine.release()
            self._save_when_idle()

    def summarize(self, session_id: str, *, pass_tokens: int | None = None, cancel: Flag) -> "Summarizing":
        """Summarizes the sources that a session sends, and keeps the summary with it; see app.passes.summary.

        pass_tokens: the most that a pass reads. Waits as ask does; cancelled, it ends without Summarized, and what was
        read is kept. Questions come between its passes, those of this session too. Raises as ask does.
        """
        from app.passes.summary.summarizing import summarize

        self._idle.cancel()
        if not (yield from self._line.wait(cancel)):
            return
        hold = Hold(self._line, cancel)
        try:
            session = self._store.sessions.get(session_id)
            backend = self.backend(session=session)
            with self._store.summary_leases.acquire(session.id):
                yield from summarize(
                    self.summary(session.id),
                    cancel,
                    between=hold.give_way,
                    session=session,
                    backend=backend,
                    store=self._store,
                    settings=self.settings,
                    max_tiles=self.settings_of(session).max_tiles,
                    pass_tokens=pass_tokens,
                )
        finally:
            hold.release()
            self._save_when_idle()

    # what is saved

    @property
    def saved(self) -> "Tier":
        """The saved KV caches of this home."""
        from app.kv.disk import Tier

        return Tier(self.settings, self._store.snapshots)

    def save(self) -> Notice | None:
        """Saves the KV cache of the session that the engine holds; a notice when that was not possible."""
        with self._line.engine:
            told = self._engines.local.save()
        return Notice(told) if isinstance(told, str) else None

    def learn(self) -> Iterator[float]:
        """Makes sure that what is saved can be used with copies of the model's files too: reads them, once, and yields
        the share read. May be given up at any time. Raises as backend does."""
        if self.settings.snapshot and not self._closed:
            yield from self._engines.learn(self.settings.model)

    def close(self) -> None:
        """Saves the KV cache, ends the engine and closes the store."""
        self._closed = True
        self._idle.cancel()
        with self._line.engine:  # an idle save under way ends first
            self._engines.close()
        super().close()

    def _save_when_idle(self) -> None:
        """Saves the KV cache once nobody has asked for a while: no answer waits for it, and seldom a question."""

        def save() -> None:
            if self._line.engine.acquire(blocking=False):
                try:
                    self._engines.local.save()
                finally:
                    self._line.engine.release()
            self._learn_unheard()

        self._idle.cancel()
        self._idle = Timer(_IDLE_S, save)
        self._idle.daemon = True
        self._idle.start()

    def _learn_unheard(self) -> None:
        """Learns until this Desk is closed; one thread does so at a time."""
        if self._learning.acquire(blocking=False):
            try:
                with suppress(LongdeskError):  # whoever asks the next question hears of it
                    for _ in self.learn():
                        if self._closed:
                            break
            finally:
                self._learning.release()
