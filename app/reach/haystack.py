"""A haystack: copies of sources of the corpus, cut at their boundaries to a length in tokens, with the probes planted.

The sources themselves stay as they are; nothing here writes a file.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from random import Random

from app.reach.functions import Function, functions_of, unique
from app.reach.probes import SYSTEM, VERSION, Kind, Plant, Probe, function_probe, planted
from engine.backend import Backend, Document, Exchange, Prompt, Source
from engine.corpus.source import digest_text
from engine.errors import UsageError

TODAY = date(2026, 1, 1)  # the same seed gives the same prompts on any day
_QUESTION_TOKENS = 48  # kept for a question before its own count is known
_LEAST_EXCERPT = 48  # tokens of a source's beginning that are worth having
_LINE = 200  # characters
_TRIES = 8
_SPARE = 16  # tokens that may be missing of a length
_MOST_SHARE = 0.75  # of a length that instruction, question and probes may take
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Straw:
    """A source that haystacks are made of. n_tokens: of it as a document."""

    source: Source
    n_tokens: int
    functions: tuple[Function, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Haystack:
    """What is read at one length, and what is asked of it. sources: copies with the probes in them. cut: the path of
    the one of which only the beginning is there. prompts: one a probe, alike up to the question."""

    tokens: int
    sources: tuple[Source, ...] = field(repr=False)
    probes: tuple[Probe, ...]
    prompts: tuple[Prompt, ...] = field(repr=False)
    cut: str | None

    @property
    def prompt_tokens(self) -> int:
        """Of the longest prompt."""
        return max(prompt.n_tokens for prompt in self.prompts)


class Field:
    """The corpus that haystacks are cut from, in an order of the seed, and the probes that are planted in them."""

    def __init__(
        self, sources: Iterable[Source], backend: Backend, *, seed: int, depths: Sequence[int], thinking: str = "off"
    ) -> None:
        self._backend, self._depths, self._thinking = backend, tuple(depths), thinking
        copies = [_copy(source, source.text) for source in sources if source.text.strip()]
        words = {word for copy in copies for word in _WORD.findall(copy.text.casefold())}
        self._planted = planted(seed, depths, words)
        costs = backend.documents(copies)
        straws = [
            Straw(copy, document.n_tokens, tuple(functions_of(copy.text)))
            for copy, document in zip(copies, costs, strict=True)
        ]
        shuffled = Random(f"longdesk haystack {VERSION} {seed}").sample(straws, len(straws))
        self._straws = sorted(shuffled, key=lambda straw: not straw.functions)  # those to ask of are wanted early
        lines = [backend.encode(f"{plant.line}\n") for probe in self._planted for plant in probe.plants]
        longest = max(len(backend.encode(probe.question)) for probe in self._planted)
        bare = self._lay_out((), "").n_tokens
        self._taken_tokens = bare + sum(map(len, lines)) + max(longest, _QUESTION_TOKENS)

    @property
    def corpus_tokens(self) -> int:
        """Of all sources."""
        return sum(straw.n_tokens for straw in self._straws)

    @property
    def most_tokens(self) -> int:
        """The longest length that the corpus fills."""
        return self.corpus_tokens + self._taken_tokens

    @property
    def least_tokens(self) -> int:
        """The shortest length that has room for more than the probes."""
        return int(self._taken_tokens / _MOST_SHARE) + 1

    def haystack(self, tokens: int) -> Haystack:
        """The one of which no prompt is longer than this, and little shorter. Raises UsageError where no source can be
        cut to it."""
        room, best = tokens - self._taken_tokens, None
        for _ in range(_TRIES):
            chosen, cut = self._chosen(room)
            if not chosen:
                break
            made = self._made(tokens, chosen, cut)
            spare = tokens - made.prompt_tokens
            if spare >= 0 and (best is None or made.prompt_tokens > best.prompt_tokens):
                best = made
            if 0 <= spare <= _SPARE or (spare > 0 and cut is None and len(chosen) == len(self._straws)):
                break
            room += spare - _SPARE // 2
        if best is None:
            raise UsageError(f"No source can be cut to {tokens:,} tokens.", "Ask for longer lengths.")
        return best

    def _chosen(self, room: int) -> tuple[list[Straw], str | None]:
        """Whole sources as long as they fit, then the beginning of one where much would stay empty."""
        chosen, left = [], []
        for straw in self._straws:
            if straw.n_tokens <= room:
                chosen.append(straw)
                room -= straw.n_tokens
            else:
                left.append(straw)
        for straw in left[:_TRIES]:
            beginning = self._beginning(straw.source, room)
            if beginning is not None:
                return [*chosen, beginning], beginning.source.path
        return chosen, None

    def _beginning(self, source: Source, room: int) -> Straw | None:
        """As many of its first lines as so many tokens have room for; None where that is next to nothing."""
        if room < _LEAST_EXCERPT:
            return None
        lines = _short_lines(source.text[: 16 * room])
        low, high, best = 0, len(lines), None
        while low < high:
            middle = (low + high + 1) // 2
            copy = _copy(source, "".join(lines[:middle]))
            n_tokens = self._backend.documents([copy])[0].n_tokens
            if n_tokens <= room:
                low, best = middle, Straw(copy, n_tokens, ())
            else:
                high = middle - 1
        return best if best is not None and best.source.text.strip() else None

    def _made(self, tokens: int, chosen: Sequence[Straw], cut: str | None) -> Haystack:
        straws = [
            Straw(each.source, each.n_tokens, tuple(functions_of(each.source.text)))
            if each.source.path == cut
            else each
            for each in chosen
        ]
        asked, gone = self._functions(straws)
        probes = (*self._planted, *asked)
        texts = [straw.source.text for straw in straws]
        plants = [plant for probe in probes for plant in probe.plants]
        copies = [_copy(straw.source, text) for straw, text in zip(straws, _woven(texts, gone, plants), strict=True)]
        documents = self._backend.documents(copies)
        prompts = tuple(self._lay_out(documents, probe.question) for probe in probes)
        order = sorted(range(len(probes)), key=lambda at: (probes[at].depth, list(Kind).index(probes[at].kind)))
        return Haystack(
            tokens, tuple(copies), tuple(probes[at] for at in order), tuple(prompts[at] for at in order), cut
        )

    def _functions(self, straws: Sequence[Straw]) -> tuple[list[Probe], dict[int, list[tuple[int, int]]]]:
        """A function to ask for at each depth, as near as there is one within half a step; and what goes of the texts,
        by their numbers."""
        total = sum(len(straw.source.text) for straw in straws) or 1
        places: list[tuple[float, int, Function]] = []
        before = 0
        for number, straw in enumerate(straws):
            places += [((before + each.at) / total, number, each) for each in straw.functions]
            before += len(straw.source.text)
        single = set(map(id, unique([each for _, _, each in places])))
        free = [place for place in places if id(place[2]) in single]
        names = [each.name for _, _, each in places]
        probes: list[Probe] = []
        gone: dict[int, list[tuple[int, int]]] = {}
        reach = 0.5 / max(1, len(self._depths) - 1)
        for depth in self._depths:
            near = min(free, key=lambda place: abs(place[0] - depth / 100), default=None)
            if near is None or abs(near[0] - depth / 100) > reach:
                continue
            free.remove(near)
            _, number, function = near
            others = dict.fromkeys(name for name in names if name.casefold() != function.name.casefold())
            probes.append(function_probe(depth, function, tuple(others)))
            gone.setdefault(number, []).append((function.start, function.end))
        return probes, gone

    def _lay_out(self, documents: Sequence[Document], question: str) -> Prompt:
        asked = Exchange(question, tuple(documents), thinking=self._thinking)
        return self._backend.lay_out([asked], system=SYSTEM, today=TODAY)


def _short_lines(text: str) -> list[str]:
    """Lines, and the pieces of those that are very long."""
    lines = text.splitlines(keepends=True)
    return [line[at : at + _LINE] for line in lines for at in range(0, len(line), _LINE)]


def _copy(source: Source, text: str) -> Source:
    """A text under a source's path, and nothing else of it."""
    n_bytes = len(text.encode("utf-8", "surrogatepass"))
    return Source(path=source.path, kind="text", text=text, n_bytes=n_bytes, digest=digest_text(text))


def _woven(texts: Sequence[str], gone: dict[int, list[tuple[int, int]]], plants: Sequence[Plant]) -> list[str]:
    """The texts without what goes of them, and with a line for each plant, at the line end nearest to its share."""
    left = [_without(text, gone.get(number, [])) for number, text in enumerate(texts)]
    lines = [text.splitlines(keepends=True) for text in left]
    ends: list[tuple[int, int, int]] = []  # characters up to a line's beginning, the text's number, the line's
    at = 0
    for number, of_text in enumerate(lines):
        for line_number, line in enumerate(of_text):
            ends.append((at, number, line_number))
            at += len(line)
        ends.append((at, number, len(of_text)))
    starts = [end[0] for end in ends]
    added: dict[tuple[int, int], list[str]] = {}
    for plant in sorted(plants, key=lambda each: each.at):
        nearest = min(bisect_left(starts, plant.at * at), len(ends) - 1)
        _, number, line_number = ends[nearest]
        added.setdefault((number, line_number), []).append(f"{plant.line}\n")
    woven = []
    for number, of_text in enumerate(lines):
        parts: list[str] = []
        for line_number in range(len(of_text) + 1):
            here = added.get((number, line_number), [])
            if here and parts and not parts[-1].endswith("\n"):
                parts.append("\n")
            parts += here
            if line_number < len(of_text):
                parts.append(of_text[line_number])
        woven.append("".join(parts))
    return woven


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + text[end:]
    return text
