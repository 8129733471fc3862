"""One call of a model for a summary: held to a form, its lines shown by words of what it read, and kept by what was
asked of which ids, so that it need not be asked again."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from threading import Event as Flag
from typing import Any

from app.citing import Excerpt, Quotable, begins, texts_of
from app.passes.setting import Setting, held_reply
from app.passes.summary.forms import VERSION, Line
from app.question import DeskEvent, Notice
from engine.answer.citations import Citation, citation_from
from engine.backend import Case, Part, Remark, Replied, Source, Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is asked. sources: that are read. form: a grammar. read: the lines of a reply that say something. quotable:
    where words for them are looked for; empty for nowhere."""

    sources: Sequence[Source]
    text: str
    form: str
    max_tokens: int
    read: Callable[[str], tuple[Line, ...]]
    quotable: Sequence[Excerpt] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. lines: each with what shows it, None where nobody looked. is_whole: it was not cut by its length.

    kept: it was there before, and nothing was read; n_read, n_reused: tokens of the prompt. sent: of what may be
    quoted, path and bytes, from and to, as the prompt had it; nothing where the engine says that it decoded less.
    """

    text: str
    lines: tuple[tuple[Line, Citation | None], ...]
    is_whole: bool = True
    kept: bool = False
    n_read: int = 0
    n_reused: int = 0
    sent: tuple[tuple[str, int, int], ...] = ()


def ask(setting: Setting, call: Call, cancel: Flag) -> Generator[DeskEvent, None, Reply | None]:
    """The reply, kept from before or new; None where it was cancelled.

    Raises DoesNotFit or ModelRefused, and as Backend.generate does.
    """
    case = setting.case(call.sources, call.text)
    key = _key(case, setting, call)
    if (kept := setting.store.notes.get(key)) is not None:
        return _from_json(kept, call, case)
    quotes = Quotable(call.quotable if setting.may_quote else ())
    sampling = replace(setting.sampling, max_tokens=call.max_tokens)
    held = yield from held_reply(setting, case, sampling, form=call.form, quotable=quotes.sources, cancel=cancel)
    if held is None:
        return None
    text, ended = held.text, held.ended
    lines = call.read(text)
    shown = yield from _shown(
        setting, case, Replied(ended.reply_ids, text, ended.thoughts), lines, call.text, quotes, cancel
    )
    if cancel.is_set() and len(shown) < len(lines) and quotes.sources:
        return None
    found = [shown.get(line.span) for line in lines]
    citations = [citation and citation.to_json() for citation in found]
    is_whole = ended.stop is Stop.END
    kept = {"text": text, "citations": citations, "whole": is_whole, "places": begins(call.quotable)}
    kept["decoded"] = ended.prompt_tokens
    setting.keep(key, kept)
    return Reply(
        text=text,
        lines=tuple(zip(lines, found, strict=True)),
        is_whole=is_whole,
        n_read=ended.prompt_tokens - ended.reused_tokens,
        n_reused=ended.reused_tokens,
        sent=_sent(call, case, ended.prompt_tokens),
    )


def _sent(call: Call, case: Case, decoded: int) -> tuple[tuple[str, int, int], ...]:
    """decoded: how many tokens the engine says that it decoded, or found in its cache."""
    if decoded != case.prompt.n_tokens:
        return ()
    there = {segment.path for segment in case.prompt.segments if segment.part is Part.SOURCE and len(segment.ids)}
    sent = [(each.whole.path, each.first_byte, each.source.text) for each in call.quotable]
    return tuple(
        (path, at, at + len(text.encode("utf-8", "surrogatepass"))) for path, at, text in sent if path in there
    )


def _from_json(kept: Mapping[str, Any], call: Call, case: Case) -> Reply:
    citations = [None if each is None else citation_from(each) for each in kept["citations"]]
    now = Quotable(call.quotable).moved(citations, kept["places"])
    lines = tuple(zip(call.read(kept["text"]), now, strict=True))
    sent = _sent(call, case, kept["decoded"])
    return Reply(text=kept["text"], lines=lines, is_whole=kept["whole"], kept=True, sent=sent)


def _shown(
    setting: Setting,
    case: Case,
    reply: Replied,
    lines: Sequence[Line],
    question: str,
    quotes: Quotable,
    cancel: Flag,
) -> Generator[DeskEvent, None, dict[tuple[int, int], Citation]]:
    """What was found for lines, by their characters."""
    found = dict[tuple[int, int], Citation]()
    spans = [line.span for line in lines]
    if not spans or not quotes.sources:
        return found
    told = setting.backend.evidence(
        case,
        reply,
        spans,
        question=question,
        quotable=quotes.sources,
        anyway=setting.settings.quotes is True,
        cancel=cancel,
    )
    with closing(told):
        for event in told:
            if isinstance(event, Remark):
                yield Notice(event.text)
            else:
                found[spans[event.statement]] = quotes.citation(event, spans[event.statement])
    return found


def _key(case: Case, setting: Setting, call: Call) -> str:
    thinking = f" thinking {setting.settings.thinking}" if setting.settings.thinking else ""
    how = f"summary {VERSION} {(call.max_tokens, call.form)}{thinking}"
    return setting.key(how, case.prompt, texts_of(call.quotable))
