"""The receipt of a turn: what of a session was sent with it, what was left out and by whom, with what it was asked."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from typing import Any

from app.costs import cost_so_far
from app.next_turn import PreparedTurn
from app.session_settings import SessionSettings, asked_with, sampling_json
from app.settings import Settings
from engine.answer.receipt import LeftOut, Receipt, SentSource, prompt_hash
from engine.backend import Backend, Case, Cause, Part, Plan, Skipped, Source
from engine.errors import LongdeskError
from storage.records import Turn
from storage.store import Store

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A turn as it was asked. answered: the indexes of the turns that its prompt holds, in order. placed: all sources
    of the session, and whether each was sent. numbers, unseen: see Conversation. only: the question was asked about
    some of the sources. own: the session's settings. passes: how the sources were read, where not at once. server: see
    Receipt."""

    case: Case
    answered: tuple[int, ...]
    placed: tuple[tuple[Source, bool], ...]
    numbers: Mapping[str, int]
    unseen: tuple[str, ...]
    only: bool
    system: str
    today: date
    own: SessionSettings
    passes: Mapping[str, Any] | None = None
    server: Mapping[str, Any] | None = None


def receipt_of(
    turn: Turn, sending: Sending, *, skipped: Sequence[Skipped], backend: Backend, settings: Settings
) -> Receipt:
    """Of a turn that has ended. skipped: all that the session lists as such."""
    prompt, plan = sending.case.prompt, sending.case.plan
    sources = tuple(_sent(turn, sending) if sending.passes is None else _read(turn, sending, sending.passes))
    left_out = tuple(_left_out(sending, sources, skipped, backend))
    placed = {source.path for source, _ in sending.placed}
    counted = [left.tokens for left in left_out if left.path in placed]
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
        kv_type="" if backend.about.server else plan.kv_type or settings.kv_type,
        context_tokens=plan.context_tokens,
        settings={**_sampling(turn), **_settings(sending, settings), **_kept_for_thoughts(plan)},
        system=sending.system,
        date=sending.today.isoformat(),
        history=sending.answered,
        prompt_hash=prompt_hash(prompt),
        times={name: getattr(turn, name) for name in ("read_s", "load_s", "prefill_s", "ttft_s")},
        quotes=backend.quotes().with_setting(settings.quotes).to_json(),
        passes=sending.passes,
        server=sending.server,
        cost=cost_so_far(backend) if backend.about.prices is not None else None,
    )


def _sent(turn: Turn, sending: Sending) -> Iterator[SentSource]:
    """The sources as they stand in the prompt, each with the turn that carries it."""
    carriers = [*sending.answered, turn.index]
    by_path = {source.path: source for source, _ in sending.placed}
    at = 0
    for segment in sending.case.prompt.segments:
        at += segment.part is Part.REPLY
        if segment.part is not Part.SOURCE or segment.path not in by_path:
            continue
        source = by_path[segment.path]
        yield SentSource(
            path=source.path,
            digest=source.digest,
            text_digest=source.text_digest,
            tokens=segment.n_tokens,
            turn=carriers[min(at, len(carriers) - 1)],
            first_image=sending.numbers.get(source.path),
        )


def _read(turn: Turn, sending: Sending, passes: Mapping[str, Any]) -> Iterator[SentSource]:
    """The sources as they were read in passes."""
    tokens = Counter[str]()
    for each in passes["slices"]:
        for piece in each["pieces"]:
            tokens[piece["path"]] += piece["tokens"]
    for source, _ in sending.placed:
        if source.path in tokens:
            yield SentSource(
                path=source.path,
                digest=source.digest,
                text_digest=source.text_digest,
                tokens=tokens[source.path],
                turn=turn.index,
                first_image=sending.numbers.get(source.path),
            )


def _left_out(
    sending: Sending, sources: Sequence[SentSource], skipped: Sequence[Skipped], backend: Backend
) -> Iterator[LeftOut]:
    sent, why = {source.path for source in sources}, {one.path: one for one in skipped}
    unsent = [(source, enabled) for source, enabled in sending.placed if source.path not in sent]
    tokens = _counted([source for source, _ in unsent], sending, backend)
    for source, enabled in unsent:
        path = source.path
        if path in why:
            by, reason = _by(why[path]), why[path].reason
        elif enabled:
            by, reason = _MODEL, "nothing but pictures, which the model cannot see"
        elif sending.only:
            by, reason = _QUESTION, "asked about others"
        else:
            by, reason = _YOU, "left out of the session"
        yield LeftOut(path=path, by=by, reason=reason, tokens=tokens.get(path))
    for path in sending.unseen:
        if path in sent:
            yield LeftOut(path=path, by=_MODEL, reason="its pictures, which the model cannot see", tokens=0)
    placed = {source.path for source, _ in sending.placed}
    for one in skipped:
        if one.path not in placed:
            yield LeftOut(path=one.path, by=_by(one), reason=one.reason)


def _counted(sources: Sequence[Source], sending: Sending, backend: Backend) -> dict[str, int]:
    """What each would cost, by path; none where that takes long, or cannot be said."""
    if sum(source.n_characters for source in sources) > _MOST_COUNTED:
        return {}
    try:
        documents = backend.documents(sources, sending.numbers, max_tiles=sending.own.max_tiles)
    except LongdeskError:  # a picture that cannot be counted
        return {}
    return {document.path: document.n_tokens for document in documents}


def _by(skipped: Skipped) -> str:
    return _BY.get(skipped.cause, "reading")


def _model(backend: Backend, settings: Settings) -> dict[str, Any]:
    about, origin = backend.about, backend.about.origin
    changed: dict[str, Any] = {}  # models that were asked as they are say nothing of it
    if origin is not None and origin.lora:
        changed["lora"] = [{"file": file, "scale": scale, "digest": digest} for file, scale, digest in origin.lora]
    if origin is not None and origin.rope:
        changed["rope"] = origin.rope
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
        "chat_template": {"used": about.template.used, "name": about.template.name, "digest": about.template.digest},
        **changed,
    }


def _sampling(turn: Turn) -> dict[str, Any]:
    asked = asked_with(turn)
    values = sampling_json(asked.sampling) | {"stops": list(asked.sampling.stops)}
    return {**values, "makers": list(asked.makers)} if asked.makers else values


def _kept_for_thoughts(plan: Plan) -> dict[str, Any]:
    return {"thinking_kept": plan.thinking_tokens} if plan.thinking_tokens else {}


def _settings(sending: Sending, settings: Settings) -> dict[str, Any]:
    return {
        "max_tiles": sending.own.max_tiles,
        "draw_pages": sending.own.draw_pages,
        "tile_separators": settings.tile_separators,
        "kv_device": settings.kv_device,
        "threads": settings.n_threads,
        "snapshot": settings.snapshot,
    }


@dataclass(slots=True)
class Receipts:
    """What a turn's receipt is made of. passes, server: see Sending."""

    prepared: PreparedTurn
    backend: Backend
    store: Store
    settings: Settings
    passes: dict[str, Any] | None = None
    server: Mapping[str, Any] | None = None

    def of(self, turn: Turn) -> dict[str, Any]:
        prepared, talk = self.prepared, self.prepared.conversation
        sending = Sending(
            case=prepared.case,
            answered=tuple(earlier.index for earlier in talk.answered),
            placed=tuple((at.source, at.enabled) for at in prepared.placed),
            numbers=talk.numbers,
            unseen=talk.unseen,
            only=turn.settings.get("only") is not None,
            system=prepared.system,
            today=prepared.today,
            own=prepared.settings,
            passes=self.passes,
            server=self.server,
        )
        skipped = self.store.sources.skipped(turn.session_id)
        return receipt_of(turn, sending, skipped=skipped, backend=self.backend, settings=self.settings).to_json()
