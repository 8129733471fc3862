"""What is stored, as values: sessions, turns, sources, saved KV caches. How each is kept is left to its own module."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.answer.citations import Citation
from engine.corpus.source import Picture, Skipped, Source

Span = tuple[int, int]  # characters of a text, from and up to


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session without its turns and sources.

    created, updated: ISO 8601 UTC with seconds. frozen_date: the ISO date that its templates show.
    settings: JSON values that are kept as they come; app.session_settings.SessionSettings says which.
    """

    id: str
    title: str
    created: str
    updated: str
    model: str
    system: str | None
    frozen_date: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """A session in a list; turns is their number."""

    id: str
    title: str
    created: str
    updated: str
    model: str
    turns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """What was thought before an answer. spans: of the turn's reply_ids, from and up to, what is no part of the answer,
    marks included; n_tokens: how many these are, or were where a server wrote them. is_open: it never came to an end.
    """

    text: str = field(default="", repr=False)
    spans: tuple[Span, ...] = ()
    n_tokens: int = 0
    seconds: float = 0.0
    is_open: bool = False

    def to_json(self) -> dict[str, Any]:
        """As the store and exports have it."""
        return {**asdict(self), "spans": [list(span) for span in self.spans]}


def thought_from(kept: Mapping[str, Any]) -> Thought:
    """A thought from its JSON. Raises TypeError, ValueError or KeyError for what is none."""
    spans = tuple((int(start), int(end)) for start, end in kept["spans"])
    if any(not 0 <= start <= end for start, end in spans):
        raise ValueError("a thought ends before it begins")
    return Thought(
        text=str(kept["text"]),
        spans=spans,
        n_tokens=int(kept["n_tokens"]),
        seconds=float(kept["seconds"]),
        is_open=bool(kept["is_open"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a turn ended.

    stop: "end", "length", "cancelled" or "error". reply_ids: the sampled ids, to be replayed as they are; thought:
    which of them are no part of the answer, and what was thought.
    """

    text: str = field(repr=False)
    stop: str
    reply_ids: tuple[int, ...] = field(default=(), repr=False)
    error: str | None = None
    prompt_tokens: int | None = None
    reused_tokens: int | None = None
    reply_tokens: int | None = None
    read_s: float | None = None
    load_s: float | None = None
    prefill_s: float | None = None
    ttft_s: float | None = None
    thought: Thought | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question and its answer.

    id: of the turn in this database; index: 0-based in its session, in the order in which turns were begun.
    parent: the index of the turn that it follows, None for a first question. alternatives: the indexes of the turns
    that stand in its place, each on a branch of its own, in order, itself among them.
    stop: as in Outcome, "interrupted" when its process died, None while it runs.
    vocabulary: hash of the vocabulary that reply_ids belong to.
    settings: what it was asked with; app.session_settings.TurnSettings says what. prefill_done: tokens read so far.
    citations: None where nobody has looked for any yet. receipt: what was sent, JSON, see engine.answer.receipt; None
    of turns that are older, or that nothing was sent for. Turns.cite writes both.
    thought: what was thought before the answer, None where nothing was.
    created, finished: ISO 8601 UTC; finished is None while it runs, the last sign of life of an interrupted one.
    """

    id: int
    session_id: str
    index: int
    question: str
    text: str = field(repr=False)
    stop: str | None
    reply_ids: tuple[int, ...] = field(repr=False)
    vocabulary: str | None
    settings: Mapping[str, Any]
    error: str | None
    prefill_done: int | None
    prompt_tokens: int | None
    reused_tokens: int | None
    reply_tokens: int | None
    read_s: float | None
    load_s: float | None
    prefill_s: float | None
    ttft_s: float | None
    citations: tuple[Citation, ...] | None
    receipt: dict[str, Any] | None
    created: str
    finished: str | None
    parent: int | None = None
    alternatives: tuple[int, ...] = ()
    thought: Thought | None = None

    @property
    def thinking_kept(self) -> int:
        """Tokens that were kept free for its thoughts, by its receipt; 0 where that does not say."""
        asked = (self.receipt or {}).get("settings")
        kept = asked.get("thinking_kept") if isinstance(asked, dict) else None
        return kept if isinstance(kept, int) and not isinstance(kept, bool) else 0


@dataclass(frozen=True, slots=True)
class SourceLink:
    """A source's place in a session, without its content. The fields are Source's own, but:

    position: 0-based in the session's order. turn_index: of the first turn that carries it.
    enabled: whether it is sent. has_file: whether the file is kept that its pictures are drawn from.
    """

    path: str
    kind: str
    n_bytes: int
    digest: str
    n_pages: int | None
    encoding: str | None
    notes: tuple[str, ...]
    has_file: bool
    position: int
    turn_index: int
    enabled: bool
    origin: str | None = None
    pictures: tuple[Picture, ...] = ()
    reader: str | None = None
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class SessionSource:
    """A source as it was put, and its place in the session: see SourceLink."""

    source: Source
    position: int
    turn_index: int
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNote:
    """An answer, or a piece of one, that was kept. (What a pass over a part of a corpus keeps is another note.)

    number: in its session, from 1. turn_index: of the turn whose answer it is of, None where it is of none.
    citations: those of the answer that are of this text, their statements by its characters. created: as in Session.
    """

    number: int
    title: str
    text: str = field(repr=False)
    created: str
    turn_index: int | None = None
    citations: tuple[Citation, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As exports and `sessions show --json` have it."""
        citations = [citation.to_json() for citation in self.citations]
        values = {"number": self.number, "title": self.title, "text": self.text, "created": self.created}
        return {**values, "turn": self.turn_index, "citations": citations}


@dataclass(frozen=True, slots=True)
class SessionOverview:
    """A session as a page lists it: the turns of its current branch, links to its sources without what they hold.

    next_index: that its next turn will have. kept_notes: in the order of their numbers, without their texts.
    """

    session: Session
    turns: tuple[Turn, ...]
    links: tuple[SourceLink, ...]
    skipped: tuple[Skipped, ...]
    next_index: int = 0
    kept_notes: tuple[KeptNote, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """All of one session: what an export is rendered from.

    turns: of the current branch, in order. others: those of the other branches. kept_notes: by their numbers.
    """

    session: Session
    turns: tuple[Turn, ...]
    sources: tuple[SessionSource, ...]
    skipped: tuple[Skipped, ...]
    others: tuple[Turn, ...] = ()
    kept_notes: tuple[KeptNote, ...] = ()

    @property
    def all_turns(self) -> tuple[Turn, ...]:
        """Of all branches, in the order in which they were begun."""
        return tuple(sorted((*self.turns, *self.others), key=lambda turn: turn.index))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One KV state in a file.

    path: absolute. binding: what it was made with (engine.runtime.binding). created, last_used: ISO 8601 UTC.
    model_name: what people call its model, '' where it was not said. date: that its prompt shows, in ISO 8601, '' where
    it shows none. session_ids: who used it, the oldest session
    first, and their titles in the same order.
    """

    path: Path
    binding: Mapping[str, Any]
    n_tokens: int
    n_bytes: int
    created: str
    last_used: str
    model_name: str = ""
    session_ids: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    date: str = ""

    @property
    def model(self) -> str:
        """The digest of the model's files."""
        return str(self.binding.get("model", ""))

    @property
    def kv_type(self) -> str:
        """The cache's type, both of them where keys and values have not the same: "f16", "q8_0 and f16"."""
        kv_k, kv_v = (str(self.binding.get(name, "")) for name in ("kv_k", "kv_v"))
        return kv_k if kv_k == kv_v else f"{kv_k} and {kv_v}"


@dataclass(frozen=True, slots=True)
class Match:
    """A state that shares its first n_blocks blocks with a prompt."""

    snapshot: Snapshot
    n_blocks: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A session that holds every term, and the passage that holds most of them.

    part: "title", "question" or "text"; turn_index is None for the title. current: whether it stands on the branch that
    the session shows.
    matches: (start, end) of each term's first occurrence in snippet, ascending.
    """

    session_id: str
    title: str
    updated: str
    turn_index: int | None
    part: str
    snippet: str
    matches: tuple[Span, ...]
    current: bool = True
