"""A reading on its way: which lengths there are, and each of them read once and asked all its questions.

Whose turn it is at the engine is left to Desk, what is kept to `kept`.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import blake2b
from threading import Event as Flag
from time import monotonic
from typing import Protocol

import numpy as np

from app.reach.haystack import Field
from app.reach.kept import KeptReadings
from app.reach.probes import MOST_DEPTHS, Probe, depths_of
from app.reach.results import Asked, Read, Reading
from app.settings import Settings
from app.verdicts import refuse_misfit
from engine.backend import (
    Backend,
    Case,
    Corpus,
    Finished,
    Loading,
    Part,
    Plan,
    Prefill,
    Prompt,
    Sampling,
    Segment,
    Text,
    Thinking,
    Wanted,
)
from engine.errors import Cancelled, UsageError
from engine.memory.wanted import thoughts_of

REPLY_TOKENS = 32
NOBODY = ""  # whose session it is: nothing of it is saved
FIRST = 1024  # of the lengths that are chosen, which double
_STEP = 256  # cells of a KV cache are allocated in blocks of this many
_WORTH_ADDING = 1.25  # the whole corpus, where it is so much longer than the last of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is asked for. lengths: in tokens, () to choose; longest: of those that are chosen, None for as long as there
    is room. n_depths: from the beginning to the end. seed: of what is planted. own: the corpus is Longdesk's own
    program. thinking: see Sampling."""

    lengths: tuple[int, ...] = ()
    longest: int | None = None
    n_depths: int = 5
    seed: int = 0
    own: bool = False
    thinking: str = "off"

    def __post_init__(self) -> None:
        if not 1 <= self.n_depths <= MOST_DEPTHS:
            raise UsageError(f"{self.n_depths} depths cannot be asked at.", f"It must be from 1 to {MOST_DEPTHS}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far a reading is. tokens: of the length that is read; done, total: of its tokens that are read, or of its
    questions that are answered. left_s: until all is done, None where nobody can tell."""

    tokens: int
    doing: str  # "loading", "reading", "asking", "done"
    done: float = 0
    total: float = 1
    left_s: float | None = None


@dataclass(frozen=True, slots=True)
class Grown:
    """One more length was read: the reading so far."""

    reading: Reading


class Holder(Protocol):
    """Who writes down what an engine holds that cannot go back to where it was: see LocalEngine."""

    def hold(self) -> None: ...
    def let_go(self) -> None: ...


class Run:
    """One reading of a corpus with an engine. reading: so far, with the lengths that were asked for alone. due: those
    that are still to be read. told: sentences on what was capped."""

    def __init__(
        self,
        corpus: Corpus,
        trial: Trial,
        *,
        backend: Backend,
        settings: Settings,
    ) -> None:
        """Plans it; nothing runs yet. Raises DoesNotFit for what has no room, UsageError for lengths that cannot be."""
        self._backend, self._settings, self._kept = backend, settings, KeptReadings(settings.home)
        depths = depths_of(trial.n_depths)
        self._field = Field(corpus.sources, backend, seed=trial.seed, depths=depths, thinking=trial.thinking)
        self._thinking, self._most_written = trial.thinking, REPLY_TOKENS + _thoughts(trial, backend, settings)
        unheeded = backend.about.template.unswitched(trial.thinking) if trial.thinking != "off" else ""
        self.told: list[str] = [unheeded] if unheeded else []
        lengths = self._lengths(trial.lengths, trial.longest)
        self._wanted, lengths = self._placed(lengths, chosen=not trial.lengths)
        origin = backend.about.origin
        begun = Reading(
            model=backend.about.name,
            model_digest=backend.digest(),
            quantization=origin.quantization if origin is not None else "",
            kv_type=settings.kv_type,
            corpus_digest=_digest(corpus),
            corpus_sources=len(corpus.sources),
            corpus_tokens=self._field.corpus_tokens,
            own=trial.own,
            seed=trial.seed,
            depths=depths,
            reply_tokens=REPLY_TOKENS,
            thinking=trial.thinking,
        )
        self._all = self._kept.again(begun)
        self._shown = lengths
        self._pace = _Pace()
        known = {each.tokens for each in self._all.lengths}
        self.due = tuple(tokens for tokens in lengths if tokens not in known)

    @property
    def reading(self) -> Reading:
        """With those of the lengths that were asked for that are there."""
        return replace(self._all, lengths=tuple(each for each in self._all.lengths if each.tokens in self._shown))

    @property
    def lengths(self) -> tuple[int, ...]:
        """All that were asked for, after capping."""
        return self._shown

    def read(self, tokens: int, cancel: Flag, holder: Holder) -> Generator[Step, None, bool]:
        """Reads one length and asks; False where nothing could be kept. Raises Cancelled, DoesNotFit where a model that
        cannot go back would have to read it for each question, and as generate does."""
        haystack, asked, before = self._field.haystack(tokens), list[Asked](), 0
        try:
            if not self._backend.about.goes_back:
                beginning = _beginning(haystack.prompts[0])
                _, before = yield from self._answer(beginning, tokens, 0, len(haystack.probes), cancel, n_reply=1)
                holder.hold()
            for probe, prompt in zip(haystack.probes, haystack.prompts, strict=True):
                reply, decoded = yield from self._answer(prompt, tokens, len(asked), len(haystack.probes), cancel)
                asked.append(_asked(probe, reply, before + decoded))
                before = 0
        finally:
            holder.let_go()
        read = Read(tokens, haystack.prompt_tokens, len(haystack.sources), haystack.cut, tuple(asked))
        lengths = sorted((*self._all.lengths, read), key=lambda each: each.tokens)
        self._all = replace(self._all, lengths=tuple(lengths))
        self.due = tuple(each for each in self.due if each != tokens)
        return self._kept.keep(self._all)

    def _answer(
        self, prompt: Prompt, tokens: int, at: int, n_questions: int, cancel: Flag, *, n_reply: int = REPLY_TOKENS
    ) -> Generator[Step, None, tuple[str, int]]:
        """The reply to one prompt, and how many of its tokens were decoded."""
        case = self._backend.consider(prompt, self._wanted)
        _refuse(case)
        sampling, words, decoded, begun = self._sampling(n_reply), "", 0, monotonic()
        generated = self._backend.generate(case, sampling, session_id=NOBODY, cancel=cancel)
        with closing(generated) as events:
            for event in events:
                if isinstance(event, Loading):
                    yield Step(tokens=tokens, doing="loading", done=event.share)
                elif isinstance(event, Prefill) and event.total - event.reused > tokens // 2:
                    self._pace.reads(event)
                    left = self._left_s(tokens, event.total - event.done, n_questions - at)
                    yield Step(tokens=tokens, doing="reading", done=event.done, total=event.total, left_s=left)
                elif isinstance(event, Text):
                    words += event.text
                elif isinstance(event, Thinking) and event.takes_text:
                    words = ""
                elif isinstance(event, Finished):
                    decoded = event.prompt_tokens - event.reused_tokens
                    if event.stop == "cancelled" or cancel.is_set():
                        raise Cancelled("The reading was stopped.", "The lengths that are done are kept.")
                    if not event.load_s and decoded < tokens // 2:
                        self._pace.answered(monotonic() - begun)
        if n_reply == REPLY_TOKENS:
            left = self._left_s(tokens, 0, n_questions - at - 1)
            yield Step(tokens=tokens, doing="asking", done=at + 1, total=n_questions, left_s=left)
        return words, decoded

    def _sampling(self, most: int) -> Sampling:
        return Sampling(max_tokens=most, seed=0, thinking=self._thinking)

    def _left_s(self, tokens: int, unread: int, questions: int) -> float | None:
        """Until all lengths are read, at the pace so far."""
        later = [each for each in self.due if each != tokens]
        n_questions = questions + len(later) * (len(self.reading.depths) * 5)
        return self._pace.seconds(unread + sum(later), n_questions)

    def _lengths(self, asked_for: Sequence[int], longest: int | None) -> tuple[int, ...]:
        """The lengths, capped by the window, the context and the corpus. Raises UsageError where none is left."""
        window, n_ctx = self._backend.about.window, self._settings.n_ctx
        room = min(window, n_ctx or window) - self._most_written
        most, least = min(room, self._field.most_tokens), self._field.least_tokens
        if most < least:
            what = "corpus" if room >= least else "window" if n_ctx is None else "context"
            raise UsageError(
                f"The {what} has no room for the probes: they need {least:,} tokens, and there are {most:,}.",
                "Use a larger one, or fewer --depths.",
            )
        if not asked_for:
            if longest is not None and longest < least:
                raise UsageError(
                    f"{longest:,} tokens have no room for the probes: they need {least:,}.", "Try it with more."
                )
            return _doubling(least, min(most, longest or most))
        if short := [tokens for tokens in asked_for if tokens < least]:
            raise UsageError(
                f"{short[0]:,} tokens have no room for the probes: they need {least:,}.",
                "Ask for longer lengths, or for fewer --depths.",
            )
        if any(tokens > most for tokens in asked_for):
            why = "the corpus has no more" if most < room else "the context has no more beside the reply"
            self.told.append(f"Lengths over {most:,} tokens are read with {most:,}: {why}.")
        return tuple(sorted({min(tokens, most) for tokens in asked_for}))

    def _placed(self, lengths: tuple[int, ...], *, chosen: bool) -> tuple[Wanted, tuple[int, ...]]:
        """One context for all of them, as long as memory allows. Raises DoesNotFit where the lengths were asked for,
        and where the shortest has no room either."""
        left = lengths
        while True:
            wanted = self._wanted_for(left[-1])
            plan = self._plan(left[-1], wanted)
            if plan.fits:
                break
            if not chosen or len(left) == 1:
                refuse_misfit(plan)
            left = left[:-1]
        if left != lengths:
            self.told.append(f"Memory has room for {left[-1]:,} tokens: longer ones are left out.")
        return wanted, left

    def _wanted_for(self, tokens: int) -> Wanted:
        n_ctx = -(-(tokens + self._most_written) // _STEP) * _STEP
        n_ctx = self._settings.n_ctx or min(n_ctx, self._backend.about.window)
        return replace(self._settings.wanted, n_ctx=n_ctx, reply_tokens=REPLY_TOKENS, thinking=self._thinking)

    def _plan(self, tokens: int, wanted: Wanted) -> Plan:
        prompt = Prompt((Segment(Part.SOURCE, np.zeros(tokens, dtype=np.int32)),))
        return self._backend.plan(prompt, wanted)


def _thoughts(trial: Trial, backend: Backend, settings: Settings) -> int:
    """Tokens that are kept for what the model thinks before each reply."""
    wanted = thoughts_of(trial.thinking, REPLY_TOKENS, thinks=backend.about.thinks)
    return wanted.within((settings.n_ctx or backend.about.window) // 4)


@dataclass(slots=True)
class _Pace:
    """How fast this run is. Of tokens read, as measured last; of questions, their mean."""

    tokens_per_s: float | None = None
    n_answered: int = 0
    answering_s: float = 0.0

    def reads(self, event: Prefill) -> None:
        fresh = event.done - event.reused
        if fresh and event.seconds > 0:
            self.tokens_per_s = fresh / event.seconds

    def answered(self, seconds: float) -> None:
        self.n_answered += 1
        self.answering_s += seconds

    def seconds(self, n_tokens: int, n_questions: int) -> float | None:
        if self.tokens_per_s is None:
            return None
        each = self.answering_s / self.n_answered if self.n_answered else 0.0
        return n_tokens / self.tokens_per_s + n_questions * each


def _beginning(prompt: Prompt) -> Prompt:
    """What all prompts of a length have in common: up to the question."""
    question = next(at for at, segment in enumerate(prompt.segments) if segment.part is Part.QUESTION)
    return Prompt(prompt.segments[:question])


def _asked(probe: Probe, reply: str, decoded: int) -> Asked:
    return Asked(
        kind=probe.kind.value,
        depth=probe.depth,
        question=probe.question,
        expected=probe.answer,
        reply=reply,
        right=probe.is_right(reply),
        chance=probe.chance,
        decoded=decoded,
    )


def _refuse(case: Case) -> None:
    refuse_misfit(case.plan)
    if case.refusal is not None:
        raise case.refusal


def _doubling(least: int, most: int) -> tuple[int, ...]:
    """1,024, 2,048 and so on as far as there is room, and all there is where that is notably more."""
    lengths, tokens = list[int](), FIRST
    while tokens <= most:
        if tokens >= least:
            lengths.append(tokens)
        tokens *= 2
    if not lengths or most >= _WORTH_ADDING * lengths[-1]:
        lengths.append(most)
    return tuple(lengths)


def _digest(corpus: Corpus) -> str:
    """Of what its sources hold, in whatever order they were given."""
    held = sorted((source.path, source.digest) for source in corpus.sources)
    return blake2b(repr(held).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
