"""How a question would be read in passes: the context that all of them have, and the slices; before anything runs."""

from collections.abc import Sequence
from dataclasses import replace

from app.next_turn import PreparedTurn
from app.passes import notes
from app.passes.setting import PassPlan, Setting, most_tokens
from app.passes.slices import slices_of
from app.question import Question
from app.settings import Settings
from engine.backend import Backend, Exchange, Source
from engine.corpus.wording import counted
from engine.errors import DoesNotFit
from storage.store import Store

_ASIDE = 256  # tokens of the context for quotes, which are written beside it
_FEWEST = 128  # tokens that a pass reads at least


def plan_passes(turn: PreparedTurn, question: Question, backend: Backend, store: Store, settings: Settings) -> PassPlan:
    """How this turn would be read.

    Raises DoesNotFit where a pass has no room, or a source that cannot be cut is too large for one.
    """
    sees = backend.about.sees
    sources = tuple(at.source for at in turn.sent if sees or not at.source.is_wordless)
    setting = Setting(
        backend=backend,
        store=store,
        settings=settings,
        session_id=turn.session.id if turn.session is not None else "",
        question=question.text,
        history=tuple(Exchange(each.question, (), each.reply_ids) for each in turn.conversation.history),
        system=turn.system,
        today=turn.today,
        wanted=settings.wanted,
        max_tiles=turn.settings.max_tiles,
        numbers=turn.conversation.numbers,
    )
    least = setting.lay_out((), notes.asking(question.text)).n_tokens
    reply = max(notes.MOST_TOKENS, settings.reply_tokens)
    most = most_tokens(backend, settings.wanted) - least - reply - _ASIDE
    room = min(most, question.pass_tokens) if question.pass_tokens is not None else most
    if room < _FEWEST:
        raise DoesNotFit(
            f"A pass has room for {counted(max(0, room), 'token')} of the sources: the question, what was said before "
            f"and the reply take {least + reply + _ASIDE:,}.",
            "Use a larger --ctx, keep fewer tokens for the reply with --max-tokens, or begin a new session.",
        )

    def tokens_of(some: Sequence[Source]) -> list[int]:
        documents = backend.documents(some, setting.numbers, max_tiles=setting.max_tiles)
        return [document.n_tokens for document in documents]

    slices = slices_of(sources, room, tokens_of, kept=store.notes.slices(setting.session_id) if turn.session else ())
    for each in slices:
        if each.n_tokens > room:
            raise DoesNotFit(
                f"{each.title} takes {each.n_tokens:,} tokens and cannot be cut; a pass has room for {room:,}.",
                "Leave it out, or use a larger --ctx.",
            )
    n_ctx = min(turn.case.plan.window, least + room + reply + _ASIDE)
    wanted = replace(settings.wanted, n_ctx=n_ctx, reply_tokens=notes.MOST_TOKENS)
    return PassPlan(
        slices, room, n_ctx, len(sources), turn.case.reuse.tokens_per_s, setting=replace(setting, wanted=wanted)
    )
