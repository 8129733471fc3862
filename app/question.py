"""A question as both doors put it, the line that it stands in, and what is heard of it until it is answered."""

from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass, field, replace
from datetime import date
from threading import Condition, Lock
from threading import Event as Flag
from time import sleep

from app.settings import Settings
from app.templates.shelf import Filled as Filled  # whoever asks needs it
from engine.backend import Corpus, Cost, Event, Gauge, Plan, Prompt, Skipped
from storage.records import Turn

_POLL_S = 0.2
_GIVING_S = 0.05
_TITLE_LENGTH = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One call of ask. corpus: what was read for it, beside the session's own sources. session None begins a new one.

    beside: the index of a turn in whose place it is asked, on a branch of its own; with the text '' it is the question
    of that turn. goes_on: the index of the turn whose reply goes on where it was cut; the text is that turn's then.
    as_set: it is sampled as the settings say, even if that gives the same reply to the same question again.

    refused: files that the user attached to it by hand and that could not be read; the turn keeps them. only: the paths
    of the session's sources that it is asked about, None for all that are sent; a slash at the end makes it a folder.
    settings: that this one is asked with, in place of Desk's own; of them, those of sampling and of the reply's length.
    own: names of those that were set for this question alone, by a template or by options: whoever asks it again, or
    goes on with its reply, does so with these.
    template: the name of the template that made the text. kinds: of sources that it is asked about, none for all; only
    those that are sent else.
    day: the date that its prompts show from now on, None for the one that the session has; see app.dates.
    in_passes: the corpus is read slice by slice, see app.passes; pass_tokens: the most that one reads of it.
    """

    text: str
    corpus: Corpus = field(default_factory=Corpus)
    refused: tuple[Skipped, ...] = ()
    session: str | None = None
    only: frozenset[str] | None = None
    beside: int | None = None
    goes_on: int | None = None
    as_set: bool = False
    settings: Settings | None = None
    own: frozenset[str] = frozenset()
    in_passes: bool = False
    pass_tokens: int | None = None
    day: date | None = None
    template: str = ""
    kinds: tuple[str, ...] = ()
    read_s: float = 0.0  # what reading the sources took


def with_template(
    question: Question, filled: Filled, settings: Settings | None, *, but: Collection[str] = ()
) -> Question:
    """The question that a template made. settings: that it is asked with, but for those of the template. but: the
    names of settings that stay, for the user gave them."""
    own = {name: value for name, value in filled.settings.items() if name not in but}
    return replace(
        question,
        text=filled.text,
        template=filled.template,
        kinds=filled.sources,
        settings=replace(settings, **own) if settings is not None and own else question.settings,
        own=question.own | own.keys(),
    )


def title_of(question: str) -> str:
    """A session's first title: the beginning of its first question, cut at a word."""
    line = " ".join(question.split()) or "Untitled"
    return line if len(line) <= _TITLE_LENGTH else line[:_TITLE_LENGTH].rsplit(" ", 1)[0] + "…"


@dataclass(frozen=True, slots=True)
class Looking:
    """A picture at its place in a prompt: ids `start` to `end`. number: what it is called."""

    start: int
    end: int
    number: int


def looking_at(prompt: Prompt) -> tuple[Looking, ...]:
    """The pictures of a prompt, in order."""
    return tuple(Looking(shown.start, shown.start + shown.view.n_tokens, shown.number) for shown in prompt.shown)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Another question has the engine; this one comes after it. before: how many come before this one, those that only
    wait included; told anew when that changes."""

    before: int = 1


@dataclass(frozen=True, slots=True)
class Begun:
    """The question was accepted: its turn stands in the store, and the engine starts. pictures: those of the prompt.
    cost: of asking it, None where tokens have no price."""

    turn: Turn
    plan: Plan
    pictures: tuple[Looking, ...] = ()
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence that the user should see."""

    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer is there: the turn as it was stored, the KV cache as it is now, and how often the vision encoder ran.

    What follows is no part of it: words that show its statements may be looked for.
    """

    turn: Turn
    gauge: Gauge | None = None
    encoded: int = 0


@dataclass(frozen=True, slots=True)
class Cited(Answered):
    """The turn with what was found so far to show its answer. n_done: statements that were looked at, of n_statements;
    n_tokens: decoded for them."""

    n_done: int = 0
    n_statements: int = 0
    n_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Passes:
    """The corpus is read in so many passes, of n_tokens of the sources in all. titles, tokens: of each slice."""

    titles: tuple[str, ...]
    tokens: tuple[int, ...]
    n_sources: int
    seconds: float | None = None  # that reading them takes, about; None where nobody knows


@dataclass(frozen=True, slots=True)
class Passing:
    """A pass begins; or it is over, and there is a note. number: of the n_passes of its round, from 1.

    merging: the round reads notes of the one before. title: what is read; n_tokens: of its prompt. note: as the model
    wrote it, with n_facts facts, n_shown of them with words that show them. kept: it was there before, and nothing was
    read; n_read, n_reused: tokens.
    """

    number: int
    n_passes: int
    title: str
    merging: bool = False
    n_tokens: int = 0
    note: str | None = None
    n_facts: int = 0
    n_shown: int = 0
    kept: bool = False
    n_read: int = 0
    n_reused: int = 0


DeskEvent = Passes | Passing | Event | Waiting | Begun | Notice | Answered | Cited


class Line:
    """The questions of a process, one of which has the engine; the others have it in the order in which they came.

    engine: held by whoever has it.
    """

    def __init__(self) -> None:
        self.engine = Lock()
        self._waiting: list[object] = []
        self._moves = Condition()

    @property
    def is_long(self) -> bool:
        """Whether another question waits."""
        return bool(self._waiting)

    def wait(self, cancel: Flag) -> Generator[Waiting, None, bool]:
        """Until this question has the engine; False where it was cancelled before. Tells its place as that changes."""
        place, told = object(), 0
        with self._moves:
            if not self._waiting and self.engine.acquire(blocking=False):
                return True
            self._waiting.append(place)
        try:
            while not cancel.is_set() or not told:
                with self._moves:
                    before = self._waiting.index(place) + 1
                if before != told:
                    yield Waiting(told := before)
                elif before > 1:
                    with self._moves:
                        self._moves.wait_for(lambda: self._waiting.index(place) + 1 != told, _POLL_S)
                elif self.engine.acquire(timeout=_POLL_S):
                    return True
            return False
        finally:
            with self._moves:
                self._waiting.remove(place)
                self._moves.notify_all()

    def take(self, cancel: Flag) -> bool:
        """The same for who has nothing to say meanwhile."""
        waiting = self.wait(cancel)
        while True:
            try:
                next(waiting)
            except StopIteration as ended:
                return bool(ended.value)


class Hold:
    """The engine as long work has it, which holds it already and lets questions go first. cancel: of that work."""

    def __init__(self, line: Line, cancel: Flag) -> None:
        self._line, self._cancel, self._has = line, cancel, True

    def give_way(self) -> Generator[Waiting, None, bool]:
        """Lets questions that wait have the engine, then takes it back; False where the work was cancelled before."""
        while self._line.is_long:
            self.release()
            sleep(_GIVING_S)  # whoever waits has it by then
            yield Waiting()
            while not self._line.engine.acquire(timeout=_POLL_S):
                if self._cancel.is_set():
                    return False
            self._has = True
        return True

    def release(self) -> None:
        """The end of the work, whoever has the engine by now."""
        if self._has:
            self._has = False
            self._line.engine.release()


class Unwanted(Flag):
    """Set once nobody wants what follows an answer: it was stopped, or something else is to be done."""

    def __init__(self, cancel: Flag, is_busy: Callable[[], bool]) -> None:
        super().__init__()
        self._cancel, self._is_busy = cancel, is_busy

    def is_set(self) -> bool:
        return super().is_set() or self._cancel.is_set() or self._is_busy()
