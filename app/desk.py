"""Desk: reading, counting, planning and asking, for the page and the command line alike. No click, no Streamlit.

One Desk serves a process. Questions run one at a time, whoever asks; everything else may be called from any thread.
How one question runs is left to `asking`, which engine runs to `engines`.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread, Timer

from app.asking import UNTITLED, Asking, Bench, standing_instruction
from app.conversation import converse, place
from app.counting import Count, Outlook, count, legible
from app.engines import Engines, Running
from app.images.pages import choose, chosen
from app.images.tiling import begun_with, limit, max_tiles_of
from app.kept.keeper import remove
from app.models.shelf import Shelf
from app.question import DeskEvent, Notice, Question, Waiting
from app.settings import Settings
from app.sources.joining import Joining, arrange, join_session, write_down
from engine.analyst import prepare, weights, with_pictures
from engine.corpus.collect import collect
from engine.corpus.rules import NO_PAGES, Rules
from engine.corpus.source import Corpus
from engine.corpus.walk import compile_excludes, excludes
from engine.errors import LongdeskError
from engine.memory.budget import Advice, Plan, Wanted
from engine.memory.card import ModelCard
from engine.memory.hardware import Device
from engine.memory.placement import Placement
from engine.memory.planner import Planner, make_plan
from engine.opened import OpenModel
from engine.prompt.layout import Exchange
from engine.runtime.checkpoint import Speeds
from engine.tokens.documents import IdCache
from storage.sessions import Session
from storage.store import Store

_CANCEL_POLL_S = 0.2
_IDLE_S = 5.0  # without a question, until the KV state is saved


class Desk:
    """Everything Longdesk does, over one home and at most one running engine.

    speeds: what this machine is taken to do in place of what is measured, for tests; None to measure.
    """

    def __init__(self, settings: Settings, speeds: Speeds | None = None) -> None:
        self.settings = settings
        self.store = Store(settings.home)
        self._engines = Engines(settings, self.store, speeds)
        self._cache = IdCache()
        self._shelf = Shelf(settings)
        self._asking, self._learning = Lock(), Lock()
        self._closed = False
        self._idle = Timer(_IDLE_S, lambda: None)

    def open(self, model: str | None = None) -> OpenModel:
        """A model ready to count and plan with, kept until its file changes.

        Raises ModelRefused for a file that cannot be used, UsageError for a name that is not known.
        """
        return self._shelf.open(model or self.settings.model)

    def use_model_of(self, session_id: str) -> None:
        """From now on the model that this session was begun with. Raises UsageError without such a session."""
        self.settings = replace(self.settings, model=self.store.sessions.get(session_id).model)

    def read(self, paths: Sequence[Path], rules: Rules = Rules(), *, uploaded: bool = False) -> Corpus:
        """What lies at these paths, images too: whether they are seen is up to the model that a session is asked with.

        uploaded: the paths are copies; where they lie and when they were written means nothing. Which pages are drawn
        is up to the settings where the rules do not say it. Raises UsageError for a path that is not there.
        """
        draw_pages = self.settings.draw_pages if rules.draw_pages == NO_PAGES else rules.draw_pages
        return collect(paths, replace(rules, draw_pages=draw_pages), uploaded=uploaded)

    def legible(self, corpus: Corpus) -> Corpus:
        """What of a corpus the model can read: one that cannot see skips images and scans. Raises as open does."""
        return legible(corpus, self.open())

    def count(self, corpus: Corpus) -> Count:
        """What each source costs, listed as the corpus is; the prompt has them in the order that a session would.

        What the model cannot see is listed as skipped. Raises as open does.
        """
        opened = self.open()
        read = legible(corpus, opened)
        system = standing_instruction(self.settings, bool(read.sources))
        return count(read, arrange(self.store, read.sources), opened=opened, cache=self._cache, system=system)

    def wake(self) -> None:
        """Lets llama.cpp be loaded for a plan while the model's file is found and read."""
        self._engines.wake()

    def warm_up(self) -> None:
        """Lets llama.cpp look at the model while a corpus is still being read and counted: a plan will ask it soon."""

        def look() -> None:
            with suppress(LongdeskError):  # whoever needs the answer hears of it
                self._engines.measure(self.card(), Placement(n_ctx=1, kv_type=self.settings.kv_type))

        Thread(target=look, daemon=True).start()

    def plan(self, count: Count | None = None, *, wanted: Wanted | None = None) -> Plan:
        """Whether a counted corpus and a reply fit; without one, what the model alone needs. Nothing is loaded.

        wanted: what is asked of the plan, the settings' own where it is None.
        """
        wanted = wanted or self.settings.wanted
        return make_plan(
            self.card(),
            prompt_tokens=count.total_tokens if count else 0,
            wanted=with_pictures(wanted, count.prompt, self.open()) if count else wanted,
            hardware=self._engines.hardware(),
            measure=self._engines.measure,
            sources=weights([Exchange("", count.documents if count else ())], self.open()) if count else (),
        )

    def plan_for(self, model: str | None, wanted: Wanted, *, prompt_tokens: int = 0) -> Plan:
        """The plan for any GGUF or catalogue name, also one that is not on this machine; None is the current model.

        Raises ModelRefused, UsageError.
        """
        return make_plan(
            self.card(model),
            prompt_tokens=prompt_tokens,
            wanted=wanted,
            hardware=self._engines.hardware(),
            measure=self._engines.measure,
        )

    def planner(self, model: str | None = None) -> Planner:
        """For many plans against one look at the machine; they come without advice. Raises as card does."""
        return Planner(self.card(model), self._engines.hardware(), self._engines.measure)

    def card(self, model: str | None = None) -> ModelCard:
        """What a model is, also one of the catalogue that is not on this machine. Raises ModelRefused, UsageError."""
        return self._shelf.card(model or self.settings.model)

    def look_ahead(self, session_id: str, question: str = "") -> Outlook:
        """What a session's next question would cost. Raises UsageError without such a session."""
        session = self.store.sessions.get(session_id)
        opened = self.open().limited(max_tiles_of(session, self.settings))
        turns = self.store.turns.of(session.id)
        placed = place(self.store.sources.of(session.id), Joining(), len(turns))
        conversation = converse(placed, turns, opened=opened, cache=self._cache)
        documents = opened.documents(conversation.sources, self._cache, conversation.numbers)
        case = prepare(
            [*conversation.history, Exchange(question, documents)],
            opened=opened,
            hardware=self._engines.hardware(),
            measure=self._engines.measure,
            wanted=self.settings.wanted,
            system=session.system or "",
            today=date.fromisoformat(session.frozen_date),
        )
        case = self._engines.roomier(opened, case, self.settings.wanted)
        every = opened.documents([at.source for at in placed], self._cache, conversation.numbers)
        kept = self._engines.rereads(opened, case.plan, case.prompt)
        unsent = frozenset(at.source.path for at in placed if opened.sight is None and at.source.is_wordless)
        return Outlook(case.plan, case.prompt, every, kept.kept_tokens, conversation.unseen, unsent)

    def begin_session(self, title: str, *, with_sources: bool = True) -> Session:
        """A new session without turns. Its date and its standing instruction stay as they are now.

        Its first question gives it its title, unless it was renamed by then.
        """
        return self.store.sessions.create(
            title=title,
            model=self.settings.model,
            system=standing_instruction(self.settings, with_sources),
            frozen_date=date.today().isoformat(),
            settings={UNTITLED: title, **begun_with(self.settings), **chosen(self.settings.draw_pages)},
        )

    def add_sources(self, session_id: str, corpus: Corpus, *, in_folder: bool = False) -> tuple[Notice, ...]:
        """Adds sources to a session; they join at its next turn. One that is there already changes in place, one that
        was deleted from a folder that was read again is left out; the notices say so. in_folder: see joining.join."""
        joining = join_session(self.store, session_id, corpus, in_folder=in_folder)
        n_turns = len(self.store.turns.of(session_id))
        write_down(self.store, session_id, joining, corpus.skipped, turn_index=n_turns)
        return tuple(map(Notice, joining.sentences()))

    def leave_out(self, session_id: str, exclude: tuple[str, ...]) -> tuple[str, ...]:
        """Stops sending a session's sources that these globs match; their paths. Raises as sessions.get does."""
        whole = self.store.sessions.get(session_id).id
        patterns = compile_excludes(exclude)
        matched = tuple(
            link.path for link in self.store.sources.links(whole) if link.enabled and excludes(patterns, link.path)
        )
        self.store.sources.set_enabled(whole, matched, enabled=False)
        return matched

    def limit_tiles(self, session_id: str, max_tiles: int) -> None:
        """From now on, images of this session are scaled down to that many tiles. Raises as sessions.get does."""
        self.store.sessions.change(session_id, settings=limit(max_tiles))

    def draw_pages(self, session_id: str, draw_pages: str) -> tuple[str, ...]:
        """From now on, these pages of this session's PDFs and TIFFs are sent as images: see pages.choose.

        What nothing is left of is sent no more; what is lost is told in sentences. Raises as sessions.get does, and
        UsageError where no source has such a page.
        """
        return choose(self.store, session_id, draw_pages)

    def follow(self, session_id: str, advice: Advice) -> None:
        """Does to a session what an advice says of its sources. Raises as sessions.get does."""
        if advice.max_tiles is not None:
            self.limit_tiles(session_id, advice.max_tiles)
        if advice.draw_pages is not None:
            self.draw_pages(session_id, advice.draw_pages)
        self.store.sources.set_enabled(session_id, advice.leave_out, enabled=False)

    def delete_session(self, session_id: str) -> None:
        """Removes a session with its turns and its KV state. Raises SessionBusy, UsageError."""
        whole = self.store.sessions.get(session_id).id
        files = self.store.sessions.delete(whole)
        self._engines.keeper.forget(whole)
        remove(files)

    def ask(self, question: Question, *, cancel: Flag) -> Generator[DeskEvent, None, None]:
        """Answers a question and keeps the turn. Ends with Answered, also when it was cancelled or the engine broke.

        Waits while another question runs; cancelled by then, it ends without an event and leaves no trace. Raises,
        before the turn exists: DoesNotFit, SessionBusy, UsageError, ModelRefused.
        """
        self._idle.cancel()
        if not self._asking.acquire(blocking=False):
            yield Waiting()
            while not self._asking.acquire(timeout=_CANCEL_POLL_S):
                if cancel.is_set():
                    return
        try:
            bench = Bench(self.settings, self.store, self._engines, self.open(), self._cache)
            yield from Asking(question, bench=bench, cancel=cancel).run()
        finally:
            self._asking.release()
            self._save_when_idle()

    def _save_when_idle(self) -> None:
        """Keeps the KV state once nobody has asked for a while: no answer waits for it, and seldom a question."""

        def save() -> None:
            if self._asking.acquire(blocking=False):
                try:
                    self._engines.save()
                finally:
                    self._asking.release()
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

    def learn(self) -> Iterator[float]:
        """Makes sure that what is kept can be used with copies of the model's files too: reads them, once.

        Yields the share read; next to nothing is done where they were read. May be given up at any time. Raises as
        open does.
        """
        if self.settings.snapshot and not self._closed:
            yield from self._engines.keeper.finder.learn(self.open().card)

    @property
    def engine(self) -> Running | None:
        """The engine that runs in this process, if one does."""
        return self._engines.status()

    def free_ram(self) -> Device:
        """Main memory as the next engine sees it."""
        return self._engines.free_ram()

    def save(self) -> Notice | None:
        """Keeps the KV state of the session that the engine holds; a notice when that was not possible."""
        with self._asking:
            sentence = self._engines.save()
        return Notice(sentence) if sentence else None

    def close(self) -> None:
        """Keeps the KV state, ends the engine and closes the store."""
        self._closed = True
        self._idle.cancel()
        with self._asking:  # an idle save under way ends first
            self._engines.close()
        self._shelf.close()
        self.store.close()
