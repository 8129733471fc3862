"""The receipt of a turn: what of a session was sent with it, what was left out and by whom, with what it was asked."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from app.next_turn import PreparedTurn
from app.session_settings import sampling_of
from app.settings import Settings
from engine.answer.receipt import LeftOut, Receipt, SentSource, prompt_hash
from engine.backend import Backend, Cause, Part, Skipped
from engine.corpus.source import digest_text
from engine.errors import LongdeskError
from storage.records import Turn

_MOST_COUNTED = 4_000_000  # characters of what was left out: more is not counted for a receipt
_YOU, _QUESTION, _MODEL = "you", "question", "model"
_BY = {
    Cause.EXCLUDED: _YOU,
    Cause.NO_PAGE: _YOU,
    Cause.IGNORED: "rule",
    Cause.GENERATED: "rule",
    Cause.LINK: "rule",
    Cause.UNSAFE: "rule",
    Cause.TOO_LARGE: "size",
    Cause.NO_VISION: _MODEL,
    Cause.GONE: "gone",
}  # all others: "reading"


def receipt_of(
    turn: Turn, prepared: PreparedTurn, *, skipped: Sequence[Skipped], backend: Backend, settings: Settings
) -> Receipt:
    """Of a turn that has ended. prepared: as it was asked. skipped: all that the session lists as such."""
    prompt = prepared.case.prompt
    sources = tuple(_sent(turn, prepared))
    left_out = tuple(_left_out(prepared, sources, skipped, backend, only=turn.settings.get("only") is not None))
    counted = [left.tokens for left in left_out if left.path in {at.source.path for at in prepared.placed}]
    sent_tokens = sum(source.tokens for source in sources)
    return Receipt(
        longdesk=version("longdesk"),
        asked=turn.created,
        answered=turn.finished,
        sources=sources,
        left_out=left_out,
        tokens_all=None if None in counted else sent_tokens + sum(each or 0 for each in counted),
        tokens={str(part): prompt.count(part) for part in Part},
        prompt_tokens=prompt.n_tokens,
        read_tokens=max(0, (turn.prompt_tokens or 0) - (turn.reused_tokens or 0)),
        reused_tokens=turn.reused_tokens or 0,
        reply_tokens=turn.reply_tokens or 0,
        model=_model(backend, settings),
        kv_type=prepared.case.plan.kv_type or settings.kv_type,
        context_tokens=prepared.case.plan.context_tokens,
        settings=_settings(prepared, settings),
        system=prepared.system,
        date=prepared.today.isoformat(),
        history=tuple(earlier.index for earlier in prepared.conversation.answered),
        prompt_hash=prompt_hash(prompt),
        times={name: getattr(turn, name) for name in ("read_s", "load_s", "prefill_s", "ttft_s")},
    )


def _sent(turn: Turn, prepared: PreparedTurn) -> Iterator[SentSource]:
    """The sources as they stand in the prompt, each with the turn that carries it."""
    carriers = [*(earlier.index for earlier in prepared.conversation.answered), turn.index]
    by_path = {at.source.path: at.source for at in prepared.placed}
    at = 0
    for segment in prepared.case.prompt.segments:
        at += segment.part is Part.REPLY
        if segment.part is not Part.SOURCE or segment.path not in by_path:
            continue
        source = by_path[segment.path]
        yield SentSource(
            path=source.path,
            digest=source.digest,
            text_digest=digest_text(source.text) if source.pictures else source.digest,
            tokens=segment.n_tokens,
            turn=carriers[min(at, len(carriers) - 1)],
            first_image=prepared.conversation.numbers.get(source.path),
        )


def _left_out(
    prepared: PreparedTurn, sources: Sequence[SentSource], skipped: Sequence[Skipped], backend: Backend, *, only: bool
) -> Iterator[LeftOut]:
    """only: the question was asked about some of the sources."""
    sent, why = {source.path for source in sources}, {one.path: one for one in skipped}
    unsent = [at for at in prepared.placed if at.source.path not in sent]
    tokens: dict[str, int] = {}
    if sum(at.source.n_characters for at in unsent) <= _MOST_COUNTED:
        try:
            told = backend.documents([at.source for at in unsent], prepared.conversation.numbers)
            tokens = {document.path: document.n_tokens for document in told}
        except LongdeskError:  # a picture that cannot be counted
            tokens = {}
    for at in unsent:
        path = at.source.path
        if path in why:
            yield LeftOut(path=path, by=_by(why[path]), reason=why[path].reason, tokens=tokens.get(path))
        elif at.enabled:
            reason = "nothing but pictures, which the model cannot see"
            yield LeftOut(path=path, by=_MODEL, reason=reason, tokens=0)
        elif only:
            yield LeftOut(path=path, by=_QUESTION, reason="asked about others", tokens=tokens.get(path))
        else:
            yield LeftOut(path=path, by=_YOU, reason="left out of the session", tokens=tokens.get(path))
    for path in prepared.conversation.unseen:
        if path in sent:
            yield LeftOut(path=path, by=_MODEL, reason="its pictures, which the model cannot see", tokens=0)
    placed = {at.source.path for at in prepared.placed}
    for one in skipped:
        if one.path not in placed:
            yield LeftOut(path=one.path, by=_by(one), reason=one.reason)


def _by(skipped: Skipped) -> str:
    return _BY.get(skipped.cause, "reading")


def _model(backend: Backend, settings: Settings) -> dict[str, Any]:
    about, origin = backend.about, backend.about.origin
    return {
        "name": about.name,
        "asked_as": settings.model,
        "vocabulary": about.vocabulary,
        "file": origin and origin.file,
        "bytes": origin and origin.n_bytes,
        "header_digest": origin and origin.header_digest,
        "architecture": origin and origin.architecture,
        "quantization": origin and origin.quantization,
        "projector": origin and origin.projector,
    }


def _settings(prepared: PreparedTurn, settings: Settings) -> dict[str, Any]:
    return {
        **asdict(sampling_of(settings)),
        "max_tiles": prepared.settings.max_tiles,
        "draw_pages": prepared.settings.draw_pages,
        "tile_separators": settings.tile_separators,
        "kv_device": settings.kv_device,
        "threads": settings.n_threads,
        "snapshot": settings.snapshot,
    }
