"""A codebase summarized, straight down: the plan, a note of each part, the pages of the whole, the summary.

Every reply is kept as soon as it is there: what was stopped goes on where it was, and after an edit only what was made
of the edited files is asked again.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Event as Flag
from time import monotonic
from typing import Any

from app.passes.reading import excerpts_of, passages_around
from app.passes.summary import forms, writing
from app.passes.summary.asking import Call, Reply, ask
from app.passes.summary.document import Page, PartRecord, Reading, Statement, Summary, unpublished
from app.passes.summary.imports import Imports, between
from app.passes.summary.job import Job, prepare_summary, thinking_notes
from app.passes.summary.skeleton import skeleton_of
from app.passes.summary.steps import Pace, Planned, Step, Summarized, SummaryEvent
from app.question import Notice
from engine.backend import Source
from engine.errors import Cancelled

Between = Callable[[], Generator[SummaryEvent, None, bool]]


_UNSEEN = "nothing but pictures, which the model cannot see"


class _Stopped(Exception):
    """The user does not want the rest now."""


@dataclass(slots=True)
class _Work:
    """A summary under way. replies: all so far. n_steps: as far as they are known."""

    job: Job
    cancel: Flag
    pace: Pace
    n_steps: int
    between: Between
    begun: float = field(default_factory=monotonic)
    replies: list[Reply] = field(default_factory=list)
    n_kept: int = 0  # of those that read sources
    sent: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # of each source, the bytes that they read

    def do(self, doing: str, title: str, call: Call, n_tokens: int = 0) -> Generator[SummaryEvent, None, Reply]:
        """A step. n_tokens: of the sources, that it reads. Raises _Stopped."""
        if not (yield from self.between()):
            raise _Stopped
        number = len(self.replies) + 1
        self.n_steps = max(self.n_steps, number)
        step = Step(doing=doing, title=title, number=number, n_steps=self.n_steps, left_s=self.pace.left_s)
        yield step
        self.pace.begin()
        reply = yield from ask(self.job.setting, call, self.cancel)
        if reply is None:
            raise _Stopped
        self.replies.append(reply)
        if doing == "read":
            self.n_kept += reply.kept
            for path, start, end in reply.sent:
                self.sent.setdefault(path, []).append((start, end))
        self.pace.end(n_tokens, kept=reply.kept)
        yield replace(
            step,
            is_over=True,
            left_s=self.pace.left_s,
            n_said=len(reply.lines),
            n_shown=sum(Statement(line.text, citation).is_shown for line, citation in reply.lines),
            kept=reply.kept,
            n_read=reply.n_read,
            n_reused=reply.n_reused,
        )
        return reply


Summarizing = Generator[SummaryEvent, None, None]


def summarize(earlier: Summary | None, cancel: Flag, *, between: Between, **given: Any) -> Summarizing:
    """Makes the summary and keeps it with its session; ends with Summarized, or without where it was cancelled.

    earlier: the one before: what it calls parts that did not change stays. between: what is done between two steps;
    False where the user does not want the rest by then.
    given: see prepare_summary. Raises as that and as asking.ask do.
    """
    try:
        job = prepare_summary(**given, cancel=cancel)
    except Cancelled:
        return
    backend = job.setting.backend
    if earlier is not None and (earlier.model, earlier.model_digest) != (backend.about.name, backend.digest()):
        earlier = None
    slices = [each for part in job.parts for each in part.slices]
    yield Planned(
        n_sources=len(job.sources),
        n_parts=len(job.parts),
        n_tokens=job.n_tokens,
        titles=tuple(each.title for each in slices),
        tokens=tuple(each.n_tokens for each in slices),
        room=job.room,
    )
    yield from map(Notice, thinking_notes(backend, job.setting.settings))
    n_plans = -(-len(job.parts) // job.plans)
    n_steps = n_plans + len(slices) + len(forms.WRITTEN)
    work = _Work(job, cancel, Pace(n_steps, job.n_tokens, 8 * job.reply_tokens), n_steps, between)
    try:
        summary = yield from _summary(work, earlier)
    except _Stopped:
        return
    job.setting.store.notes.put(kept_as(summary.session), summary.session, summary.to_json())
    yield Summarized(summary)


def kept_as(session_id: str) -> str:
    """The key under which a session's summary is kept among its notes."""
    return f"summary {session_id}"


def _summary(work: _Work, earlier: Summary | None) -> Generator[SummaryEvent, None, Summary]:
    job = work.job
    purpose, parts, left_out = yield from _plan(work, earlier)
    fresh_plan = any(not reply.kept for reply in work.replies)
    noted, redone = dict[str, writing.Noted](), dict[str, bool]()
    for part, record in zip(job.parts, parts, strict=True):
        replies = list[Reply]()
        for each in part.slices:
            excerpts = excerpts_of(each)
            sources = [excerpt.source for excerpt in excerpts]
            call = Call(
                sources=sources,
                text=forms.note_asking(record.label),
                form=forms.note_form(job.n_lines),
                max_tokens=job.reply_tokens,
                read=forms.note_lines,
                quotable=excerpts,
            )
            replies.append((yield from work.do("read", each.title, call, each.n_tokens)))
        noted[record.key] = writing.noted_of([said for reply in replies for said in reply.lines], record.key)
        redone[record.key] = any(not reply.kept for reply in replies)
    pages = [
        *(yield from _pages_of_the_whole(work, parts, noted, any(redone.values()), fresh_plan)),
        *(writing.part_page(record, noted[record.key], redone=redone[record.key]) for record in parts),
    ]
    quotes = job.setting.backend.quotes().with_setting(job.setting.settings.quotes)
    looked = job.setting.may_quote
    return Summary(
        title=job.title,
        model=job.setting.backend.about.name,
        model_digest=job.setting.backend.digest(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        session=job.setting.session_id,
        room=job.room,
        purpose=purpose,
        pages=tuple(unpublished(page, looked=looked) for page in pages),
        parts=tuple(parts),
        reading=_reading(work),
        evidence="" if looked else quotes.reason,
        left_out=left_out,
        skipped=(
            *((each.path, each.reason) for each in job.setting.store.sources.skipped(job.setting.session_id)),
            *((path, _UNSEEN) for path in job.unseen),
        ),
        unseen=job.unseen,
    )


# the plan


def _plan(work: _Work, earlier: Summary | None) -> Generator[SummaryEvent, None, tuple[str, list[PartRecord], str]]:
    """What the codebase is for, its parts with their names, and what the plan did not see."""
    job = work.job
    before = {part.label: part for part in earlier.parts} if earlier is not None else {}
    digests = {part.label: {source.path: source.digest for source in part.sources} for part in job.parts}
    named = {
        label: (part.name, part.description) for label, part in before.items() if digests.get(label) == part.sources
    }
    purpose, left_out = (earlier.purpose, earlier.left_out) if earlier is not None else ("", "")
    to_plan = [part.label for part in job.parts if part.label not in named]
    skeleton = skeleton_of(job.sources, job.outlines, job.fits) if to_plan else None
    if skeleton is not None:
        left_out = skeleton.left_out
        for at in range(0, len(to_plan), job.plans):
            labels = to_plan[at : at + job.plans]
            call = Call(
                sources=[skeleton.source],
                text=forms.plan_asking(labels),
                form=forms.plan_form(labels),
                max_tokens=forms.plan_tokens(len(labels)) + 60,
                read=lambda text: (),
            )
            reply = yield from work.do("plan", f"{len(labels):,} of {len(job.parts):,} parts", call)
            said, names = forms.read_plan(reply.text, labels)
            purpose, named = purpose or said, named | names
    return purpose, _records(job, digests, named), left_out


def _records(
    job: Job, digests: Mapping[str, Mapping[str, str]], named: Mapping[str, tuple[str, str]]
) -> list[PartRecord]:
    imports = Imports(job.sources)
    of = {path: part.key for part in job.parts for path in digests[part.label]}
    links = dict[str, dict[str, int]]()
    found = between(of, {path: imports.of(path, outline) for path, outline in job.outlines.items()})
    for (one, other), count in sorted(found.items()):
        links.setdefault(one, {})[other] = count
    return [
        PartRecord(
            key=part.key,
            label=part.label,
            name=named.get(part.label, ("", ""))[0],
            description=named.get(part.label, ("", ""))[1],
            sources=digests[part.label],
            n_tokens=part.n_tokens,
            n_passes=len(part.slices),
            imports=links.get(part.key, {}),
        )
        for part in job.parts
    ]


# the whole


def _pages_of_the_whole(
    work: _Work, parts: Sequence[PartRecord], noted: Mapping[str, writing.Noted], reread: bool, replanned: bool
) -> Generator[SummaryEvent, None, list[Page]]:
    pages = dict[str, Page]()
    for name in forms.WRITTEN:
        n_before = len(work.replies)
        lines = yield from _written(work, name, parts, noted)
        redone = any(not reply.kept for reply in work.replies[n_before:]) if lines else reread
        pages[name] = writing.written_page(name, lines, parts, noted, redone=redone)
    pages["map"] = writing.map_page(parts, noted, redone=reread or replanned)
    pages["glossary"] = writing.glossary_page(parts, noted, redone=reread)
    return [pages[name] for name in writing.TITLES]


def _written(
    work: _Work, name: str, parts: Sequence[PartRecord], noted: Mapping[str, writing.Noted]
) -> Generator[SummaryEvent, None, tuple[Statement, ...]]:
    """What the model writes of the whole from the notes of its parts; where they are more than it can read at once,
    from what it wrote of some of them each."""
    job = work.job
    left = list(writing.notes_for(name, parts, noted, job.fits))
    of = {path: part.key for part in parts for path in part.sources}
    while left:
        groups = _grouped(left, job)
        if len(groups) == 1:
            return writing.with_parts((yield from _from(work, name, left)), of)
        merged = list[writing.Piece]()
        for number, group in enumerate(groups, 1):
            lines = tuple((yield from _from(work, name, group, f", notes {number:,} of {len(groups):,}")))
            if lines:
                merged.append((writing.as_source(f"notes {number}", lines, job.fits), lines))
        if len(merged) >= len(left):  # each is as large as a call: what there is, is the page
            return writing.with_parts([each for _, lines in merged for each in lines], of)
        left = merged
    return ()


def _grouped(pieces: Sequence[writing.Piece], job: Job) -> list[list[writing.Piece]]:
    """In their order, each group as much as a call can read."""
    groups: list[list[writing.Piece]] = []
    used = 0
    for piece in pieces:
        cost = job.setting.tokens_of(piece[0])
        if not groups or used + cost > job.room:
            groups.append([])
            used = 0
        groups[-1].append(piece)
        used += cost
    return groups


def _from(
    work: _Work, name: str, pieces: Sequence[writing.Piece], which: str = ""
) -> Generator[SummaryEvent, None, list[Statement]]:
    job = work.job
    wholes = {source.path: source for source in job.sources}
    citations = (each.citation for _, statements in pieces for each in statements if each.is_shown)
    call = Call(
        sources=[source for source, _ in pieces],
        text=forms.page_asking(name, job.title),
        form=forms.page_form(max(3, job.n_lines // 2)),
        max_tokens=job.reply_tokens,
        read=forms.page_lines,
        quotable=passages_around(citations, wholes),
    )
    reply = yield from work.do("write", f"{writing.TITLES[name]}{which}", call)
    return writing.statements_of(reply.lines)


def _is_once(source: Source, sent: Sequence[tuple[int, int]]) -> bool:
    """Whether these bytes of a source are each of its bytes once."""
    ends = [0, *(end for _, end in sorted(sent))]
    n_bytes = len(source.text.encode("utf-8", "surrogatepass"))
    return [start for start, _ in sorted(sent)] == ends[:-1] and ends[-1] == n_bytes and len({*sent}) == len(sent) > 0


def _reading(work: _Work) -> Reading:
    """How often each source was read, by what was sent of it."""
    job = work.job
    return Reading(
        n_sources=len(job.sources),
        n_once=sum(_is_once(source, work.sent.get(source.path, ())) for source in job.sources),
        n_tokens=job.n_tokens,
        n_passes=job.n_passes,
        n_kept=work.n_kept,
        n_calls=len(work.replies),
        n_whole=sum(reply.is_whole for reply in work.replies),
        read_tokens=sum(reply.n_read for reply in work.replies),
        reused_tokens=sum(reply.n_reused for reply in work.replies),
        seconds=round(monotonic() - work.begun, 1),
    )
