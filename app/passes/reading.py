"""A question asked of a corpus in passes: each slice is read once and leaves a note, notes are merged until they fit,
and the answer is made of them.

Every note is kept as soon as it is there, by what was asked of which ids: what was stopped goes on where it was, and a
slice whose sources did not change is not read again.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Event as Flag
from typing import Any

from app.citing import Excerpt, Quotable, begins, texts_of
from app.passes import notes
from app.passes.notes import Fact, Note, note_from
from app.passes.setting import PassPlan, Setting, held_reply
from app.passes.slices import Slice
from app.question import DeskEvent, Notice, Passes, Passing
from app.verdicts import refuse_misfit
from engine.answer.citations import Citation
from engine.backend import Case, Finished, Ids, Prompt, Remark, Replied, Source
from engine.corpus.wording import counted

_AROUND = 400  # characters before and behind a quote that are sent with a note's fact to be quoted again


@dataclass(frozen=True, slots=True)
class Noted:
    """A note with what its facts may be quoted from again: passages around the words that show them."""

    note: Note
    title: str
    passages: tuple[Excerpt, ...] = ()


Told = Generator[DeskEvent, None, list[Noted] | None]


def take_notes(setting: Setting, slices: Sequence[Slice], cancel: Flag) -> Told:
    """Reads every slice; their notes, None where it was cancelled. Raises as Backend.generate does."""
    found = list[Noted]()
    for number, each in enumerate(slices, 1):
        excerpts = excerpts_of(each)
        at = Passing(number, len(slices), each.title)
        sources = [excerpt.source for excerpt in excerpts]
        noted = yield from _pass(numbered(setting, excerpts), at, sources, excerpts, cancel)
        if noted is None:
            return None
        found.append(noted)
    return found


def excerpts_of(each: Slice) -> tuple[Excerpt, ...]:
    """What a pass sends of the sources."""
    return tuple(Excerpt(piece.as_source(), piece.source, piece.first_byte) for piece in each.joined)


def numbered(setting: Setting, excerpts: Sequence[Excerpt]) -> Setting:
    """With the numbers that the pictures of these have, some of which are parts of their sources."""
    numbers = dict(setting.numbers)
    for excerpt in excerpts:
        if excerpt.source is not excerpt.whole and excerpt.source.pictures:
            first = (excerpt.source.pictures[0].number, excerpt.source.pictures[0].digest)
            before = [(picture.number, picture.digest) for picture in excerpt.whole.pictures].index(first)
            numbers[excerpt.whole.path] += before
    return replace(setting, numbers=numbers)


def merge_notes(
    setting: Setting, noted: Sequence[Noted], room: int, cancel: Flag, *, at_once: int | None = None
) -> Told:
    """Notes of notes, until what is left takes at most `room` tokens as documents; None where it was cancelled. Those
    without a fact that is used are left out. at_once: tokens that a pass may read of them, `room` where it is None."""
    left, most = [each for each in noted if each.note.used], at_once or room
    while len(left) > 1 and (total := sum(costs := [setting.tokens_of(sent(each)) for each in left])) > room:
        groups, used = [[left[0]]], [costs[0]]
        for each, cost in zip(left[1:], costs[1:], strict=True):
            if used[-1] + cost > most and len(groups[-1]) > 1:  # at least two, or it would never end
                groups.append([])
                used.append(0)
            groups[-1].append(each)
            used[-1] += cost
        merged, first, unspent = list[Noted](), 1, room
        for number, (group, cost) in enumerate(zip(groups, used, strict=True), 1):
            title, first = f"notes {first:,} to {first + len(group) - 1:,}", first + len(group)
            at, share = Passing(number, len(groups), title, merging=True), max(0, unspent) * cost // total
            one = group[0] if len(group) == 1 else (yield from _merged(setting, at, group, share, most, cancel))
            if one is None:
                return None
            merged.append(one)
            unspent, total = unspent - setting.tokens_of(sent(one)), total - cost
        left = [each for each in merged if each.note.used]
    return [(yield from _trimmed(setting, left[0], room))] if len(left) == 1 else left


def _merged(
    setting: Setting, at: Passing, group: Sequence[Noted], share: int, most: int, cancel: Flag
) -> Generator[DeskEvent, None, Noted | None]:
    """A note of notes: what the model makes of them, and the facts of theirs that are not in that, up to `share`
    tokens. Where they are more than a pass can read, no model is asked."""
    passages, made = tuple(passage for each in group for passage in each.passages), notes.NOTHING
    sources = [sent(each) for each in group]
    if sum(map(setting.tokens_of, sources)) > most:  # without the words that show their facts
        sources = [notes.as_source(each.note, f"note of {each.title}", bare=True) for each in group]
    if sum(map(setting.tokens_of, sources)) <= most:
        one = yield from _pass(setting, at, sources, passages, cancel)
        if one is None:
            return None
        made = one.note
    note = notes.with_facts_of(made, [each.note for each in group], _within(setting, at.title, share))
    return Noted(note, at.title, _passages(note, passages))


def _within(setting: Setting, title: str, room: int) -> Callable[[Note], bool]:
    """Whether a note takes at most so many tokens as it is sent."""
    return lambda note: setting.tokens_of(sent(Noted(note, title))) <= room


def _trimmed(setting: Setting, noted: Noted, room: int) -> Generator[DeskEvent, None, Noted]:
    """The last note; with fewer facts where the answer has no room for all, which is said."""
    fits = _within(setting, noted.title, room)
    if fits(noted.note):
        return noted
    bare = replace(noted.note, facts=tuple(Fact(fact.text) for fact in noted.note.used), looked=False)
    note = notes.with_facts_of(notes.NOTHING, [noted.note], fits)
    note = note if note.facts else notes.with_facts_of(notes.NOTHING, [bare], fits)
    yield Notice(
        f"The answer is made of {len(note.facts):,} of {counted(len(noted.note.used), 'fact')} of the notes: more has "
        "no room beside the reply. Use a larger --ctx, or keep fewer tokens for the reply with --max-tokens."
    )
    return replace(noted, note=note)


def sent(noted: Noted) -> Source:
    """A note as it is sent."""
    return notes.as_source(noted.note, f"note of {noted.title}")


def _pass(
    setting: Setting, at: Passing, sources: Sequence[Source], quotable: Sequence[Excerpt], cancel: Flag
) -> Generator[DeskEvent, None, Noted | None]:
    """One pass: what it is told while it goes on, and its note; None where it was cancelled."""
    case = setting.case(sources, notes.asking(setting.question))
    key, quotes = key_of(case.prompt, setting, quotable), Quotable(quotable if setting.may_quote else ())
    kept = setting.store.notes.get(key)
    at = replace(at, n_tokens=case.prompt.n_tokens)
    if kept is not None:
        note = _where_it_stands_now(kept, quotable)
        yield _over(at, note, kept=True)
        return Noted(note, at.title, _passages(note, quotable))
    yield at
    form, sampling = notes.FORM, setting.sampling
    held = yield from held_reply(setting, case, sampling, form=form, quotable=quotes.sources, cancel=cancel)
    if held is None:
        return None
    text, ended = held.text, held.ended
    note, n_looked_at = yield from _shown(setting, case, text, ended, quotes, cancel)
    if cancel.is_set() and quotes.sources and n_looked_at < len(note.facts):
        return None
    setting.keep(key, {**note.to_json(), "places": begins(quotable)})
    yield _over(at, note, n_read=ended.prompt_tokens - ended.reused_tokens, n_reused=ended.reused_tokens)
    return Noted(note, at.title, _passages(note, quotable))


def _over(at: Passing, note: Note, **known: Any) -> Passing:
    """A pass that is over."""
    n_shown = sum(fact.is_shown for fact in note.facts)
    return replace(at, note=note.text, n_facts=len(note.facts), n_shown=n_shown, **known)


def _shown(
    setting: Setting, case: Case, text: str, ended: Finished, quotes: Quotable, cancel: Flag
) -> Generator[DeskEvent, None, tuple[Note, int]]:
    """The note, with the words that show each of its facts; and how many of these were looked at."""
    spans = notes.facts_in(text)
    if not spans or not quotes.sources:
        return notes.read_note(text), 0
    told = setting.backend.evidence(
        case,
        Replied(ended.reply_ids, text, ended.thoughts),
        spans,
        question=setting.question,
        quotable=quotes.sources,
        anyway=setting.settings.quotes is True,
        cancel=cancel,
    )
    citations = list[Citation]()
    with closing(told):
        for event in told:
            if isinstance(event, Remark):
                yield Notice(event.text)
            else:
                citations.append(quotes.citation(event, spans[event.statement]))
    seen = setting.backend.about.sees and any(source.pictures for source in quotes.sources)
    looked = len(citations) == len(spans) and not seen
    return notes.read_note(text, citations=citations, looked=looked), len(citations)


def _where_it_stands_now(kept: Mapping[str, Any], quotable: Sequence[Excerpt]) -> Note:
    """A kept note, its facts with the places that their words have in the sources as they are now."""
    before, note = kept["places"], note_from({name: value for name, value in kept.items() if name != "places"})
    citations = Quotable(quotable).moved([fact.citation for fact in note.facts], before)
    facts = (Fact(fact.text, citation) for fact, citation in zip(note.facts, citations, strict=True))
    return replace(note, facts=tuple(facts))


def _passages(note: Note, quotable: Sequence[Excerpt]) -> tuple[Excerpt, ...]:
    wholes = {excerpt.whole.path: excerpt.whole for excerpt in quotable}
    return passages_around((fact.citation for fact in note.facts), wholes)


def passages_around(citations: Iterable[Citation | None], wholes: Mapping[str, Source]) -> tuple[Excerpt, ...]:
    """What stands around the words that were quoted: whole lines where they are short, each passage once. wholes: the
    sources that they stand in, by path."""
    found = dict[tuple[str, int], Excerpt]()
    for citation in citations:
        whole = wholes.get(citation.path or "") if citation is not None else None
        if citation is None or whole is None or citation.text_span is None:
            continue
        data = whole.text.encode("utf-8", "surrogatepass")
        start, end = _whole_lines(data, *citation.text_span)
        text = data[start:end].decode("utf-8", "surrogatepass")
        found.setdefault((whole.path, start), Excerpt(whole.with_text(text), whole, start))
    return tuple(found.values())


def _whole_lines(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Bytes around those given, to line ends where some are near, never within a character."""
    begin = data.rfind(b"\n", max(0, start - _AROUND), start) + 1 or max(0, start - _AROUND)
    after = data.find(b"\n", end, end + _AROUND)
    behind = after + 1 if after >= 0 else min(len(data), end + _AROUND)
    while begin < start and 0x80 <= data[begin] < 0xC0:
        begin += 1
    while behind < len(data) and 0x80 <= data[behind] < 0xC0:
        behind += 1
    return begin, behind


def key_of(prompt: Prompt, setting: Setting, quotable: Sequence[Excerpt]) -> str:
    """Under which the note of this is kept: see Setting.key."""
    return setting.key(f"{notes.VERSION} {setting.sampling}", prompt, texts_of(quotable))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadInPasses:
    """What the answer is made of: its prompt, which holds notes; what it may be quoted from; and what each slice gave,
    as the receipt has it."""

    case: Case
    quotable: tuple[Excerpt, ...]
    passes: dict[str, Any]


def read_in_passes(plan: PassPlan, begun: Ids, cancel: Flag) -> Generator[DeskEvent, None, ReadInPasses | None]:
    """Reads all slices and merges their notes; None where it was cancelled. begun: ids that the reply goes on from.

    Raises DoesNotFit or ModelRefused, and as Backend.generate does.
    """
    setting, read = plan.setting, list[Passing]()
    yield Passes(
        titles=tuple(each.title for each in plan.slices),
        tokens=tuple(each.n_tokens for each in plan.slices),
        n_sources=plan.n_sources,
        seconds=plan.seconds,
    )
    noted = yield from _remembering(take_notes(setting, plan.slices, cancel), read)
    left = (
        None if noted is None else (yield from merge_notes(setting, noted, plan.notes_room, cancel, at_once=plan.room))
    )
    if noted is None or left is None:
        return None
    wanted = replace(
        setting.wanted, reply_tokens=setting.settings.reply_tokens, thinking=setting.settings.thinking or ""
    )
    final = replace(setting, wanted=wanted)
    sources, asked = [sent(each) for each in left] or [notes.nothing_found()], notes.answering(setting.question)
    case = final.case(sources, asked, begun)
    refuse_misfit(case.plan)
    passages = {(each.whole.path, each.first_byte): each for one in left for each in one.passages}
    return ReadInPasses(
        case=case,
        quotable=tuple(passages.values()) if setting.may_quote else (),
        passes={
            **_receipt(plan, noted, read),
            "asked": asked,
            "sent": [{"path": source.path, "text": source.text} for source in sources],
        },
    )


def _remembering(told: Told, read: list[Passing]) -> Told:
    """The same; every pass that is over is put into `read`. What was remarked of one is not said again of others."""
    remarks = set[str]()
    try:
        while True:
            event = next(told)
            if isinstance(event, Notice):
                if event.text in remarks:
                    continue
                remarks.add(event.text)
            if isinstance(event, Passing) and event.note is not None:
                read.append(event)
            yield event
    except StopIteration as done:
        found: list[Noted] | None = done.value
        return found
    finally:
        told.close()


def _receipt(plan: PassPlan, noted: Sequence[Noted], read: Sequence[Passing]) -> dict[str, Any]:
    """How the corpus was read, for the receipt; JSON."""
    return {
        "n_passes": len(plan.slices),
        "n_sources": plan.n_sources,
        "slices": [
            {
                "pieces": [
                    {"path": piece.source.path, "tokens": piece.n_tokens, "characters": [piece.start, piece.end]}
                    for piece in each.pieces
                ],
                "kept": told.kept,
                "read_tokens": told.n_read,
                "reused_tokens": told.n_reused,
                "note": one.note.to_json(),
            }
            for each, one, told in zip(plan.slices, noted, read, strict=True)
        ],
    }
