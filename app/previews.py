"""What the next question of a session would cost, as the page and the command line show it before it is asked.

Worked out once for each state of the session, not at each redraw.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from threading import Lock

from app.costs import cost_ahead
from app.dates import today
from app.images.albums import Album, albums_of
from app.next_turn import PreparedTurn
from engine.backend import About, Cost, Document, Part, Plan, Prompt
from storage.records import Session, SourceLink, Turn

_KEPT = 8
_AMBER, _RED = 0.80, 0.95  # of the window


@dataclass(frozen=True, slots=True)
class Preview:
    """A session's next question before it is written.

    documents: one a source of the session, in its order, sent or not. reused_tokens: about what of the prompt need not
    be read again, None where nobody can tell. unseen: paths of sources that are sent, but for their pictures: the model
    cannot see. unsent: those of all sources that have nothing else in them, so that they cost nothing. tokens, albums:
    by path, for every source of the session. unrepresentable: by path, characters that the vocabulary has no token for.
    rereads: see PreparedTurn. read_on: the date that the prompt shows, where that is not today's. kv_note: see
    SessionSettings. cost: None where tokens have no price.
    """

    plan: Plan
    prompt: Prompt = field(repr=False)
    documents: tuple[Document, ...] = field(repr=False)
    reused_tokens: int | None
    unseen: tuple[str, ...]
    unsent: frozenset[str]
    tokens: dict[str, int] = field(repr=False)
    unrepresentable: dict[str, int] = field(repr=False)
    albums: dict[str, Album] = field(repr=False)
    rereads: str | None = None
    read_on: date | None = None
    kv_note: str | None = None
    cost: Cost | None = None

    @property
    def corpus_tokens(self) -> int:
        return self.prompt.count(Part.SOURCE)

    @property
    def chat_tokens(self) -> int:
        """All of the prompt that is no source."""
        return self.prompt.n_tokens - self.corpus_tokens


def preview_of(turn: PreparedTurn, documents: tuple[Document, ...], *, about: About) -> Preview:
    """What asking this turn would cost. documents: of every source, see next_turn.documents_of."""
    unsent = frozenset(at.source.path for at in turn.placed if not about.sees and at.source.is_wordless)
    return Preview(
        plan=turn.case.plan,
        prompt=turn.case.prompt,
        documents=documents,
        reused_tokens=turn.case.reuse.n_tokens,
        unseen=turn.conversation.unseen,
        unsent=unsent,
        tokens={each.path: 0 if each.path in unsent else each.n_tokens for each in documents},
        unrepresentable={each.path: sum(each.unrepresentable.values()) for each in documents if each.unrepresentable},
        albums=albums_of(documents),
        rereads=turn.rereads,
        read_on=turn.read_on,
        kv_note=turn.settings.kv_note if not about.server else None,
        cost=cost_ahead(about, turn.case) if about.prices is not None else None,
    )


@dataclass(frozen=True, slots=True)
class Budget:
    """The window and what stands in it, in tokens. thinking: kept for thoughts before the reply."""

    corpus: int
    chat: int
    reply: int
    limit: int
    thinking: int = 0

    @property
    def free(self) -> int:
        return self.limit - self.corpus - self.chat - self.reply - self.thinking

    @property
    def share(self) -> float:
        return (self.limit - self.free) / max(1, self.limit)

    @property
    def level(self) -> str:
        """How full it is, in one word that the style sheet knows."""
        return "red" if self.share >= _RED else "amber" if self.share >= _AMBER else "calm"


def budget_of(preview: Preview | None, plan: Plan, window: int, n_ctx: int | None) -> Budget:
    """The budget of a session's next question, or of a first one without sources."""
    chat = preview.chat_tokens if preview else plan.prompt_tokens
    corpus, limit = preview.corpus_tokens if preview else 0, min(window, n_ctx or window)
    return Budget(corpus, chat, plan.reply_tokens, limit, plan.thinking_tokens)


def key_of(
    session: Session, links: Sequence[SourceLink], turns: Sequence[Turn], *, asked_of: object
) -> tuple[object, ...]:
    """All that a session's next question hangs on. asked_of: the engine, and what else may change what it costs."""
    return (
        session.id,
        str(session.settings),
        session.frozen_date,
        today(),
        asked_of,
        tuple((link.path, link.digest, link.turn_index, link.enabled) for link in links),
        tuple((turn.id, turn.stop) for turn in turns),
    )


class Previews:
    """The last few previews of this process. Safe to use from several threads."""

    def __init__(self, preview: Callable[..., Preview]) -> None:
        """preview: of a session, by its id. only: of some of its sources."""
        self._preview = preview
        self._kept: OrderedDict[tuple[object, ...], Preview] = OrderedDict()
        self._lock = Lock()

    def of(
        self,
        session: Session,
        links: Sequence[SourceLink],
        turns: Sequence[Turn],
        *,
        asked_of: object,
        only: frozenset[str] | None = None,
    ) -> Preview:
        """That of a session that has these sources and turns. asked_of: see key_of. only: paths of those that are asked
        about, None for all that are sent. Raises as Desk.preview does."""
        key = (*key_of(session, links, turns, asked_of=asked_of), only)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        preview = self._preview(session.id) if only is None else self._preview(session.id, only=only)
        with self._lock:
            self._kept[key] = preview
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return preview
