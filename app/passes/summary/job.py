"""What a summary will take, before anything runs: its parts, the context that all of its calls have, and their room."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from threading import Event as Flag
from typing import Any

from app.passes.setting import Setting, counting, most_tokens
from app.passes.slices import to_json
from app.passes.summary import forms
from app.passes.summary.outline import Outline, outline_of
from app.passes.summary.parts import Part, parts_of
from app.settings import Settings
from engine.backend import Backend, Source, number_pictures
from engine.errors import Cancelled, DoesNotFit, UsageError
from storage.records import Session
from storage.store import Store

ROOM = 8_192  # tokens of a pass, where nothing else is asked for: models find less in more
_ASIDE = 256  # tokens of the context for quotes, which are written beside it
_FEWEST = 256  # tokens that a pass reads at least
_MOST_OF_TOKEN = 64  # characters that one stands for in what is written here
_LABELS_TRIED = 32
_LEAST_REPLY, _MOST_REPLY = 256, 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """See the module. unseen: paths of images and scans that the model cannot see, which are no sources of it. room:
    tokens of the sources that a call reads at most; reply_tokens: that it writes.
    """

    setting: Setting
    title: str
    sources: tuple[Source, ...] = field(repr=False)
    outlines: dict[str, Outline] = field(repr=False)
    parts: tuple[Part, ...]
    unseen: tuple[str, ...] = ()
    room: int
    reply_tokens: int

    @property
    def n_passes(self) -> int:
        return sum(len(part.slices) for part in self.parts)

    @property
    def n_tokens(self) -> int:
        return sum(part.n_tokens for part in self.parts)

    @property
    def n_lines(self) -> int:
        """Of a reply."""
        return forms.n_lines(self.reply_tokens)

    @property
    def plans(self) -> int:
        """Parts that one call plans at most."""
        return max(1, (self.reply_tokens - forms.plan_tokens(0)) // (forms.plan_tokens(1) - forms.plan_tokens(0)))

    def fits(self, source: Source) -> bool:
        """Whether a call can read this alone."""
        if len(source.text) > _MOST_OF_TOKEN * self.room:  # a skeleton may be of hundreds of MB: not worth counting
            return False
        return self.setting.tokens_of(source) <= self.room


def prepare_summary(
    *,
    session: Session,
    backend: Backend,
    store: Store,
    settings: Settings,
    max_tiles: int,
    pass_tokens: int | None,
    cancel: Flag,
) -> Job:
    """Of a session's sources that are sent. max_tiles: of an image. pass_tokens: see Desk.summarize. The parts of an
    earlier run stay, as far as they serve.

    Raises DoesNotFit where a pass has no room, UsageError where there is nothing to summarize, Cancelled.
    """
    sees = backend.about.sees
    placed = store.sources.of(session.id, enabled_only=True)
    sources = tuple(at.source for at in placed if sees or not at.source.is_wordless)
    if not sources:
        raise UsageError("There is nothing to summarize.", "Add files or folders to the session.")
    setting = Setting(
        backend=backend,
        store=store,
        settings=settings,
        session_id=session.id,
        question="",
        history=(),
        system=forms.SYSTEM,
        today=date.fromisoformat(session.frozen_date),
        wanted=replace(settings.wanted, **_thoughts(backend, settings)),
        max_tiles=max_tiles,
        numbers=number_pictures(sources),
    )
    kept = store.notes.get(f"summary parts {session.id}") or {}
    most = most_tokens(backend, settings.wanted, before=kept.get("most"))
    reply = min(_MOST_REPLY, max(_LEAST_REPLY, most // 4))
    longest = _longest_label(sources, backend)
    aside = _ASIDE + setting.wanted.thoughts.least
    asked = (forms.note_asking(longest), forms.plan_asking([longest] * ((reply - 60) // 56)))
    least = max(setting.lay_out((), text).n_tokens for text in asked)
    room = min(most - least - reply - aside, pass_tokens or ROOM)
    if room < _FEWEST:
        raise DoesNotFit(
            f"A pass has room for {max(0, room):,} tokens of the sources: what is asked and the reply take "
            f"{least + reply + aside:,}; a summary needs {_FEWEST}.",
            "Use a larger --ctx.",
        )
    wanted = replace(setting.wanted, n_ctx=least + room + reply + aside, reply_tokens=reply)
    setting = replace(setting, wanted=wanted)
    return Job(
        setting=setting,
        title=_title(sources, session),
        sources=sources,
        outlines=_outlines(sources, cancel),
        parts=_parts(setting, sources, room, most, kept, cancel),
        unseen=() if sees else tuple(at.source.path for at in placed if at.source.is_wordless),
        room=room,
        reply_tokens=reply,
    )


def _thoughts(backend: Backend, settings: Settings) -> dict[str, Any]:
    """What is kept for thoughts: nothing where replies are held to forms, which allow none."""
    if backend.about.holds_forms:
        return {"thinking": "off"}
    return {"thinking": settings.thinking or "", "thinks": backend.about.thinks}


def thinking_notes(backend: Backend, settings: Settings) -> tuple[str, ...]:
    """Sentences where the model cannot think, or not, as it is asked to."""
    thinking = settings.thinking or ""
    if thinking not in ("", "off", "0") and backend.about.holds_forms:
        return (
            f"What is written is held to forms, which have no room for thoughts: --thinking {thinking} is not heeded.",
        )
    found = backend.about.template.unswitched(thinking)
    return (found,) if found else ()


def _longest_label(sources: Sequence[Source], backend: Backend) -> str:
    """One that takes as many tokens as any part's does, about."""
    paths = sorted((source.path for source in sources), key=len)[-_LABELS_TRIED:]
    labels = [forms.short(label) for path in paths for label in (path, f"{path} to {path}")]
    return max(labels, key=lambda label: len(backend.encode(label)))


def _outlines(sources: Sequence[Source], cancel: Flag) -> dict[str, Outline]:
    found = {}
    for source in sources:
        if cancel.is_set():
            raise Cancelled("It was stopped before anything was read.")
        found[source.path] = outline_of(source)
    return found


def _parts(
    setting: Setting, sources: Sequence[Source], room: int, most: int, kept: Mapping[str, Any], cancel: Flag
) -> tuple[Part, ...]:
    """Their parts, which are kept for the next run. most: tokens of the largest context that could be had; it stays as
    long as it fits, so that parts stay. kept: of the run before."""
    tokens_of = counting(setting.backend, setting.numbers, setting.max_tiles, cancel)
    known = kept if kept.get("room") == room else {}
    parts = parts_of(sources, room, tokens_of, kept=known.get("parts"), slices=known.get("slices", {}))
    for part in parts:
        for each in part.slices:
            if each.n_tokens > room:
                raise DoesNotFit(
                    f"{each.title} takes {each.n_tokens:,} tokens and cannot be cut; a pass has room for {room:,}.",
                    "Leave it out with --exclude, or use a larger --ctx.",
                )
    paths = {part.label: [source.path for source in part.sources] for part in parts}
    slices = {part.label: to_json(part.slices) for part in parts}
    now = {"room": room, "most": most, "parts": paths, "slices": slices}
    setting.store.notes.put(f"summary parts {setting.session_id}", setting.session_id, now)
    return parts


def _title(sources: Sequence[Source], session: Session) -> str:
    """What the codebase is called: its folder's name."""
    folders = {source.folder for source in sources}
    return next(iter(folders)) or session.title if len(folders) == 1 else session.title
