"""What is planted and asked: five kinds of probes at every depth, drawn from a seed. Values and drawing only; where a
probe comes to lie in a corpus is left to `haystack`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from app.reach.functions import Function
from app.reach.scoring import is_named, is_refused
from app.reach.words import BEASTS, CARGO, COLOURS, FACTS, NAMES, THINGS, TOWNS

VERSION = 1  # raise it when a seed gives other probes, or a rule of scoring changes
MOST_DEPTHS = 12
_ALIKE = 5  # planted lines that are alike, of which the third is asked for
_SPREAD = 0.02  # of the prompt, from one of them to the next

# the standing instruction that all questions are asked with
SYSTEM = (
    "Short notes stand between the lines of the documents. Answer from documents and notes alone, with one name or a "
    "few words and nothing else. Only if they do not hold the answer, reply: Not there."
)


class Kind(StrEnum):
    """The five kinds of probes."""

    FUNCTION = "function"  # its docstring is taken out, and says what it does in the question
    FACT = "fact"  # in words that the question has none of
    CHAIN = "chain"  # two steps
    THIRD = "third"  # of five alike
    ABSENT = "absent"  # no answer


@dataclass(frozen=True, slots=True)
class Plant:
    """A line that is planted at a share of the prompt, from 0 to 1."""

    at: float
    line: str


@dataclass(frozen=True, slots=True)
class Probe:
    """A question at a depth, in percent of the prompt. answer: that is right, "" where there is none; others: that
    could be taken for it. chance: the share that guessing gets right, None where that hangs on how often a model
    refuses. plants: what is planted for it."""

    kind: Kind
    depth: int
    question: str
    answer: str
    others: tuple[str, ...]
    chance: float | None
    plants: tuple[Plant, ...] = ()

    def is_right(self, reply: str) -> bool:
        """By the rule of its kind."""
        if self.kind is Kind.ABSENT:
            return is_refused(reply, self.others)
        return is_named(reply, self.answer, self.others)


def depths_of(n_depths: int) -> tuple[int, ...]:
    """So many depths from the beginning to the end, in percent; one lies in the middle."""
    if n_depths == 1:
        return (50,)
    return tuple(round(100 * at / (n_depths - 1)) for at in range(n_depths))


def planted(seed: int, depths: Sequence[int], taken: Collection[str]) -> tuple[Probe, ...]:
    """The probes that are planted, four at each depth, the same for every length. taken: words of the corpus, in lower
    case, which no planted name or town is to be."""
    random = Random(f"longdesk reading {VERSION} {seed}")
    n = len(depths)
    names = _drawn(random, NAMES, 3 * n, taken)
    towns = _drawn(random, TOWNS, 2 * n, taken)
    facts = random.sample(FACTS, n)
    inns = random.sample([f"{colour} {beast}" for colour in COLOURS for beast in BEASTS], n)
    shares = [depth / 100 for depth in depths]
    probes: list[Probe] = []
    for at, (depth, share) in enumerate(zip(depths, shares, strict=True)):
        after = shares[(at + 1) % n] if n > 1 else 0.75
        probes += [
            _fact(depth, share, facts[at].says, facts[at].question, names[at], names),
            _chain(depth, share, after, names[n + at], inns[at], towns[at], towns[:n]),
            _third(depth, share, towns[n + at], random.sample(CARGO, _ALIKE)),
            _absent(depth, share, names[2 * n + at], random.sample(THINGS, 2), random.choice(COLOURS)),
        ]
    return tuple(probes)


def function_probe(depth: int, function: Function, others: Sequence[str]) -> Probe:
    """The question for a function whose words were taken out. others: names of functions that are there too."""
    question = f'Which function in the documents does this: "{function.says}"? Reply with the name of the function.'
    return Probe(Kind.FUNCTION, depth, question, function.name, tuple(others), 1 / (1 + len(others)))


def _drawn(random: Random, words: Sequence[str], n: int, taken: Collection[str]) -> list[str]:
    """So many of the words, in an order of their own; those that the corpus has itself only where the others are too
    few."""
    shuffled = random.sample(words, len(words))
    return sorted(shuffled, key=lambda word: word.casefold() in taken)[:n]


def _fact(depth: int, share: float, says: str, question: str, name: str, names: Sequence[str]) -> Probe:
    others = tuple(each for each in names if each != name)
    asks = f"{question} Reply with the name of the person."
    plants = (Plant(share, f"Note: {says.format(name=name)}"),)
    return Probe(Kind.FACT, depth, asks, name, others, 1 / len(names), plants)


def _chain(depth: int, share: float, after: float, name: str, inn: str, town: str, towns: Sequence[str]) -> Probe:
    others = tuple(each for each in towns if each != town)
    first, second = f"Note: {name} is staying at the {inn} inn.", f"Note: The {inn} inn is in {town}."
    plants = (Plant(share, first), Plant(after, second))
    question = f"{name} is staying at an inn. In which town is that inn? Reply with the name of the town."
    return Probe(Kind.CHAIN, depth, question, town, others, 1 / len(towns), plants)


def _third(depth: int, share: float, port: str, cargo: Sequence[str]) -> Probe:
    begin = min(max(0.0, share - _SPREAD * (_ALIKE // 2)), 1 - _SPREAD * (_ALIKE - 1))
    plants = tuple(Plant(begin + _SPREAD * at, f"Cargo for {port}: {each}.") for at, each in enumerate(cargo))
    question = f'Five lines say "Cargo for {port}". Which cargo does the third of these five lines name?'
    others = tuple(each for at, each in enumerate(cargo) if at != 2)
    return Probe(Kind.THIRD, depth, question, cargo[2], others, 1 / _ALIKE, plants)


def _absent(depth: int, share: float, name: str, things: Sequence[str], colour: str) -> Probe:
    question = f"What colour is the {things[1]} of {name}?"
    return Probe(
        Kind.ABSENT, depth, question, "", (colour,), None, (Plant(share, f"{name} has a {colour} {things[0]}."),)
    )
