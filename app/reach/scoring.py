"""The rules by which replies are right or wrong, and what scores add up to. Pure; docs/reading.md has them in words.

No model judges: a reply names what is asked for, as a word, before anything else that could have been named; or, where
the answer is not in the documents, it says so.
"""

import re
from collections.abc import Iterable, Sequence
from math import comb

KEPT_SHARE = 0.85  # of the score at the shortest length, which a length that is read reliably keeps
_SURE = 0.05  # how seldom guessing alone does as well, for what is called better than guessing
_THOUGHT = re.compile(r"^.*</think>", re.DOTALL)

REFUSALS = (
    "not there",
    "not mention",
    "not stated",
    "not state",
    "not specif",
    "not provide",
    "not given",
    "not give",
    "not say",
    "not said",
    "not include",
    "not contain",
    "not found",
    "not known",
    "not know",
    "not listed",
    "not available",
    "not answer",
    "not described",
    "not indicate",
    "not possible",
    "not in the document",
    "no mention",
    "no information",
    "no answer",
    "no such",
    "unknown",
    "unspecified",
    "cannot",
    "none of the documents",
)


def said(reply: str) -> str:
    """What a reply says, without what was thought before, in lower case and plain apostrophes."""
    plain = _THOUGHT.sub("", reply).replace("\u2019", "'").casefold()
    return " ".join(re.sub(r"n't\b", " not", plain).replace("can not", "cannot").split())


def place_of(words: str, reply: str) -> int | None:
    """Where these words first stand in a reply with no letter, digit or underscore beside them; None for nowhere."""
    return _place_in(said(reply), words)


def _place_in(says: str, words: str) -> int | None:
    """The same, of what a reply says."""
    wanted = words.casefold()
    if wanted not in says:  # a corpus may have a hundred thousand names to look for
        return None
    found = re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", says)
    return found.start() if found is not None else None


def first_named(reply: str, candidates: Iterable[str]) -> str | None:
    """The one of the candidates that a reply names first; of two at one place, the longer."""
    says = said(reply)
    places = [(at, -len(each), each) for each in candidates if (at := _place_in(says, each)) is not None]
    return min(places)[2] if places else None


def refusal_at(reply: str) -> int | None:
    """Where a reply first says that the answer is not there; None where it never does."""
    text = said(reply)
    places = [at for words in REFUSALS if (at := text.find(words)) >= 0]
    return min(places, default=None)


def is_named(reply: str, answer: str, others: Sequence[str]) -> bool:
    """The rule for what the documents hold: the reply names the answer, and none of the others before it."""
    return first_named(reply, (answer, *others)) == answer


def is_refused(reply: str, others: Sequence[str]) -> bool:
    """The rule for what they do not hold: the reply says so, and names none of what could be mistaken for it before."""
    refused, named = refusal_at(reply), first_named(reply, others)
    if refused is None:
        return False
    at = place_of(named, reply) if named is not None else None
    return at is None or refused < at


def share(right: int, asked: int) -> float:
    """The score: the share of questions that were answered right; 0 where none were asked."""
    return right / asked if asked else 0.0


def is_above_chance(right: int, asked: int, chance: float) -> bool:
    """Whether guessing, right once in 1 / chance, would do as well less than once in twenty times."""
    if not asked or right <= chance * asked:
        return False
    tail = sum(comb(asked, n) * chance**n * (1 - chance) ** (asked - n) for n in range(right, asked + 1))
    return tail < _SURE


def effective(scores: Sequence[tuple[int, float]]) -> int | None:
    """The longest of these lengths, each with its score, at which at least 85 % of the score at the shortest is kept.

    None where nothing was right at the shortest.
    """
    ordered = sorted(scores)
    if not ordered or ordered[0][1] <= 0:
        return None
    least = KEPT_SHARE * ordered[0][1] - 1e-9
    return max(length for length, score in ordered if score >= least)


def dips(scores: Sequence[tuple[int, float]]) -> tuple[int, ...]:
    """The lengths below the effective one that kept less: the effective one is uncertain then."""
    ordered, end = sorted(scores), effective(scores)
    if end is None:
        return ()
    least = KEPT_SHARE * ordered[0][1] - 1e-9
    return tuple(length for length, score in ordered if length < end and score < least)
