"""How a question would be read in passes: the context that all of them have, and the slices; before anything runs."""

from dataclasses import dataclass, replace
from threading import Event as Flag

from app.next_turn import PreparedTurn
from app.passes import notes
from app.passes.setting import PassPlan, Setting, counting, most_tokens
from app.passes.slices import slices_of
from app.question import Question
from app.settings import Settings
from engine.backend import Backend
from engine.corpus.wording import counted
from engine.errors import DoesNotFit
from storage.store import Store

_ASIDE = 256  # tokens of the context for quotes, which are written beside it
_FEWEST = 128  # tokens that a pass reads at least
_SAID_BEFORE = 1024  # tokens kept for it: up to there, a later question finds the slices as they were
_CONTEXT_STEP = 1024  # tokens: a question that is a little longer asks for no other context
_QUESTION = 64  # tokens kept for it: up to there, slices are the same whatever is asked


@dataclass(frozen=True, slots=True)
class _Rooms:
    """Tokens: that the sources of a new slice and of one that was read before may take, and notes that are sent
    together; of the context, and of the largest that could be had."""

    new: int
    kept: int
    notes: int
    n_ctx: int
    most_ctx: int


def plan_passes(
    turn: PreparedTurn, question: Question, backend: Backend, store: Store, settings: Settings, cancel: Flag
) -> PassPlan:
    """How this turn would be read; without sources there are no slices.

    Raises DoesNotFit where a pass has no room, or a source that cannot be cut is too large for one; Cancelled.
    """
    sees, settings = backend.about.sees, replace(settings, kv_type=turn.settings.kv_type)
    sources = tuple(at.source for at in turn.sent if sees or not at.source.is_wordless)
    setting = Setting(
        backend=backend,
        store=store,
        settings=settings,
        session_id=turn.session.id if turn.session is not None else "",
        question=question.text,
        history=tuple(replace(each, documents=()) for each in turn.conversation.history),
        system=turn.system,
        today=turn.today,
        wanted=settings.wanted,
        max_tiles=turn.settings.max_tiles,
        numbers=turn.conversation.numbers,
    )
    kept = store.notes.slices(setting.session_id) if turn.session else []
    before = next((each.get("most_ctx") for each in kept), None)
    rooms = _rooms(setting, question.pass_tokens, before)
    tokens_of = counting(backend, setting.numbers, setting.max_tiles, cancel)
    slices = slices_of(sources, rooms.new, tokens_of, kept=kept, kept_room=rooms.kept)
    for each in slices:
        if each.n_tokens > rooms.kept:
            raise DoesNotFit(
                f"{each.title} takes {each.n_tokens:,} tokens and cannot be cut; a pass has room for {rooms.kept:,}.",
                "Leave it out, or use a larger --ctx.",
            )
    wanted = replace(settings.wanted, n_ctx=rooms.n_ctx, reply_tokens=notes.MOST_TOKENS, thinking="off")
    return PassPlan(
        slices,
        rooms.new,
        rooms.n_ctx,
        len(sources),
        turn.case.reuse.tokens_per_s,
        notes_room=rooms.notes,
        most_ctx=rooms.most_ctx,
        setting=replace(setting, wanted=wanted),
    )


def _rooms(setting: Setting, asked: int | None, before: int | None) -> _Rooms:
    """asked: what a pass is to read at most. before: the largest context that could be had then. Raises DoesNotFit
    where there is no room."""
    backend, question = setting.backend, setting.question
    answering = replace(setting.wanted, thinks=backend.about.thinks)
    spare = max(0, _QUESTION - len(backend.encode(question)))
    fixed = setting.lay_out((), notes.asking(question)).n_tokens + spare + _ASIDE
    total = most_tokens(backend, setting.wanted, before=before)
    reply = answering.reply_tokens + answering.thoughts.within(total // 4)
    most, most_notes = total - fixed - notes.MOST_TOKENS, total - fixed - reply
    if min(most, most_notes) < _FEWEST:
        n_taken = fixed + max(reply, notes.MOST_TOKENS)
        raise DoesNotFit(
            f"A pass has room for {counted(max(0, min(most, most_notes)), 'token')} of the sources, or of notes: the "
            f"question, what was said before and the reply take {n_taken:,} of {total:,}.",
            "Use a larger --ctx, keep fewer tokens for the reply with --max-tokens, or begin a new session.",
        )
    if asked is not None and asked < _FEWEST:
        raise DoesNotFit(
            f"A pass of {counted(asked, 'token')} has no room for anything.",
            f"Let it have at least {_FEWEST} (--pass-tokens {_FEWEST}), or as many as fit (--pass-tokens auto).",
        )
    aside = min(_SAID_BEFORE, most // 8)
    new, kept = (min(each, asked or each) for each in (max(_FEWEST, most - aside), most))
    needed = fixed + max(new + notes.MOST_TOKENS, min(new, most_notes) + reply) + aside
    n_ctx = min(total, -(-needed // _CONTEXT_STEP) * _CONTEXT_STEP)
    return _Rooms(new, min(kept, n_ctx - fixed - notes.MOST_TOKENS), n_ctx - fixed - reply, n_ctx, total)
