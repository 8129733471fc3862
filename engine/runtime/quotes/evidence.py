"""A quote as a model writes it: the likeliest tokens that what was sent goes on with, and how sure the model was.

The log-probability of each token, before anything was masked, tells relevant quotes from others; see LOWEST. A quote
that falls below it is given up and begun anew with another first token; but the more its sentence has of what the
statement says, the more that speaks for it too, and the less sure the model need be. The first tokens are tried in the
order of both together: a model mostly knows which words it wants once it is led to their place. Whoever calls leaves
the model behind the opening mark, and drops from its KV cache what was written.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.runtime.quotes.index import QuoteIndex
from engine.runtime.quotes.machine import Positions, Quote, State, allows, close, opened, step

OPENING = "The words that show this: <quote>"  # what is put behind a statement, behind two line ends
LOWEST = -2.5  # nats, of every token and of the mark: of 23 quotes it kept 15 of 16 relevant ones and none of 7 others
LOWEST_FIRST = -6.0  # of the first token, where it may begin but in few places
LOWEST_COVERED = -6.0  # of every token, where their sentence has nearly all that the statement says
_LITTLE, _ALL = 0.4, 0.75  # of that: up to here the model alone decides, from there on LOWEST_COVERED does
MOST_STARTS = 5
MOST_TOKENS = 64
MOST_PASSES = (
    128  # of all starts together: a model that likes to copy would go on for nothing, and nobody waits for that
)
_LED = 10.0  # nats, that all of what a statement says is worth, for a quote to begin before it
_FEW_PLACES = 8_192  # that are few enough to look at what follows them
_BEGINNINGS = 4  # times as many candidates, to begin with there
_CANDIDATES = 256  # of the likeliest tokens: behind them nothing is likely enough to be worth a search

Logits = NDArray[np.float32]


class Witness(Protocol):
    """What else is known of a statement, see `nearby`."""

    def shows(self, quote: Quote) -> bool:
        """Whether a quote may be taken for what shows it."""

    def suffices(self, quote: Quote) -> bool:
        """Whether a quote may end there."""

    def covers(self, quote: Quote) -> float:
        """How much the sentence of a quote has of what it says, from 0 to 1."""

    def promises(self, starts: Positions) -> float:
        """How much of that a quote may come to have that begins at one of these places."""


class _Nobody:
    """Knows nothing: the model alone decides."""

    def shows(self, quote: Quote) -> bool:
        return True

    def suffices(self, quote: Quote) -> bool:
        return True

    def covers(self, quote: Quote) -> float:
        return 0.0

    def promises(self, starts: Positions) -> float:
        return 0.0


class Pen(Protocol):
    """The model, where a quote is to be written."""

    def write(self, token: int) -> Logits | None:
        """Decodes a token; the logits behind it, shape [n_vocab], not kept. None where it was cancelled."""

    def go_back(self) -> bool:
        """Forgets all that was written; False where this model cannot."""


@dataclass(frozen=True, slots=True)
class Written:
    """quote: None where no words were found. lowest: log-probability of its least likely token, in nats. n_passes:
    tokens decoded for it. cancelled: it was given up on the way."""

    quote: Quote | None
    lowest: float
    n_passes: int
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class _Attempt:
    quote: Quote | None
    lowest: float
    n_passes: int
    cancelled: bool = False
    lowest_after: float = 0.0  # of the tokens behind the first one


def write_quote(
    pen: Pen,
    logits: Logits,
    index: QuoteIndex,
    piece: Callable[[int], bytes],
    is_end: Callable[[int], bool],
    *,
    floor: float = LOWEST,
    first_floor: float | None = None,
    witness: Witness | None = None,
    n_starts: int = MOST_STARTS,
    n_tokens: int = MOST_TOKENS,
) -> Written:
    """One quote, or none. logits: behind the opening mark, shape [n_vocab].

    piece: a token's bytes, b"" for those that are no text. is_end: whether a token ends a reply. floor: the least
    log-probability of every token, in nats; first_floor: of the first, where that is another. witness: another quote is
    looked for in place of one that it is against; behind the first token floor is nearer to LOWEST_COVERED the more the
    words have of what is to be shown.
    n_starts, n_tokens: that are tried at most, and that one of them has.
    """
    first, n_passes, known = logits.copy(), 0, witness or _Nobody()
    least = floor if first_floor is None else first_floor
    for token in islice(_beginnings(first, opened(index), piece, known, least), n_starts):
        attempt = _attempt(pen, first, index, piece, is_end, token, floor, known, n_tokens)
        n_passes += attempt.n_passes
        if attempt.cancelled or _is_taken(attempt, floor, known):
            return Written(attempt.quote, attempt.lowest, n_passes, attempt.cancelled)
        if n_passes >= MOST_PASSES or (attempt.n_passes and not pen.go_back()):
            break
    return Written(None, -np.inf, n_passes)


def _beginnings(
    logits: Logits, state: State, piece: Callable[[int], bytes], witness: Witness, floor: float
) -> Iterator[int]:
    """The tokens that a quote may begin with, in the order in which they are tried: that of their log-probability, and
    of how much follows of what is to be shown, until both together are below the floor. One of those that begin the
    same words."""
    few = state.places is not None and len(state.places) <= _FEW_PLACES
    likeliest = _likeliest(logits, _CANDIDATES * (_BEGINNINGS if few else 1))
    allowed = (token for token in likeliest if allows(state, piece(token)))
    norm = log_probability(logits, likeliest[0]) - float(logits[likeliest[0]])

    def worth(token: int) -> float:
        places = step(state, piece(token)).places if few else None
        promised = witness.promises(places.ends - len(places.words)) if places is not None else 0.0
        return float(logits[token]) + norm + _LED * promised

    valued: Iterable[tuple[float, int]] = ((worth(token), token) for token in allowed)
    tried = set[bytes]()
    for value, token in sorted(valued, reverse=True) if few else valued:
        if value < floor:
            return
        longer = _whole(likeliest, state, token, piece)
        begun = longer if worth(longer) >= floor else token
        if piece(begun).strip() not in tried:
            tried.add(piece(begun).strip())
            yield begun


def _is_taken(attempt: _Attempt, floor: float, witness: Witness) -> bool:
    quote = attempt.quote
    if quote is None or not witness.shows(quote):
        return False
    return attempt.lowest_after >= floor or attempt.lowest_after >= _floor(floor, witness.covers(quote))


def _attempt(
    pen: Pen,
    logits: Logits,
    index: QuoteIndex,
    piece: Callable[[int], bytes],
    is_end: Callable[[int], bool],
    first: int,
    floor: float,
    witness: Witness,
    n_tokens: int,
) -> _Attempt:
    """first: the token that it begins with. floor: of the others."""
    state, states, lowest, after_first = opened(index), list[tuple[State, float, float]](), 0.0, 0.0
    for n_passes in range(n_tokens):
        token = _going_on(logits, state, piece, is_end, witness) if states else first
        if token is None:
            return _Attempt(None, lowest, n_passes)
        probability = log_probability(logits, token)
        if states and probability < floor and not _may_be(probability, floor, state, witness):
            return _Attempt(None, lowest, n_passes)
        lowest = min(lowest, probability)
        after_first = min(after_first, probability) if states else 0.0
        if is_end(token):
            return _Attempt(close(state), lowest, n_passes, lowest_after=after_first)
        state = step(state, piece(token))
        if state.closed is not None:
            return _Attempt(state.closed, lowest, n_passes, lowest_after=after_first)
        states.append((state, lowest, after_first))
        after = pen.write(token)
        if after is None:
            return _Attempt(None, lowest, n_passes, cancelled=True)
        logits = after
    return _cut(states)


def _going_on(
    logits: Logits, state: State, piece: Callable[[int], bytes], is_end: Callable[[int], bool], witness: Witness
) -> int | None:
    """The likeliest token; the likeliest that does not end the quote, where that is too short."""
    struck = set[int]()
    while (token := next_token(logits, state, piece, is_end, struck)) is not None:
        ending = _ending(state, None if is_end(token) else piece(token))
        if ending is None or witness.suffices(ending):
            break
        struck.add(token)
    return token


def _ending(state: State, words: bytes | None) -> Quote | None:
    """What a token ends, or begins to; None where more may follow. words: None of one that ends a reply."""
    if words is None:
        return close(state)
    if state.closing is None and b"<" not in words:  # most of them, and a step takes time
        return None
    after = step(state, words)
    return after.closing.quote if after.closing is not None and after.places is None else after.closed


def _may_be(probability: float, floor: float, state: State, witness: Witness) -> bool:
    """Whether a quote goes on that the model is not sure of, behind what was written."""
    if probability < LOWEST_COVERED:
        return False
    if state.closing is not None and probability >= _floor(floor, witness.covers(state.closing.quote)):
        return True
    places = state.places
    return places is not None and probability >= _floor(floor, witness.promises(places.ends - len(places.words)))


def _floor(floor: float, share: float) -> float:
    """That of words that have a share of what the statement says."""
    along = min(1.0, max(0.0, (share - _LITTLE) / (_ALL - _LITTLE)))
    return min(floor, floor + along * (LOWEST_COVERED - floor))


def _cut(states: list[tuple[State, float, float]]) -> _Attempt:
    """A quote that would not end, up to its last whole word."""
    for state, lowest, after_first in reversed(states):
        if (quote := close(state)) is not None:
            return _Attempt(quote, lowest, len(states), lowest_after=after_first)
    return _Attempt(None, -np.inf, len(states))


def next_token(
    logits: Logits,
    state: State,
    piece: Callable[[int], bytes],
    is_end: Callable[[int], bool],
    struck: Set[int] = frozenset(),
) -> int | None:
    """The likeliest token that may be written, but for those that are struck out; None where none of the likeliest
    may. See write_quote."""

    def may(token: int) -> bool:
        return token not in struck and (close(state) is not None if is_end(token) else allows(state, piece(token)))

    first = int(logits.argmax())
    if may(first):  # nearly always; to put more of them in order takes many times as long
        return first
    return next(filter(may, _likeliest(logits, _CANDIDATES)), None)


def _whole(likeliest: Sequence[int], state: State, token: int, piece: Callable[[int], bytes]) -> int:
    """The first token of a quote; where it is but a part of a word, of every word that it begins there, the likeliest
    one with more of it: behind "Return" a model does not expect the rest of "Returns"."""
    begun = piece(token)
    if not begun[-1:].isalnum() or close(step(state, begun)) is not None:
        return token

    def has_more(other: int) -> bool:
        is_longer = len(piece(other)) > len(begun) and piece(other).startswith(begun)
        return is_longer and allows(state, piece(other))

    return next(filter(has_more, likeliest), token)


def _likeliest(logits: Logits, n_most: int) -> list[int]:
    """The likeliest tokens, in order."""
    n_candidates = min(n_most, len(logits))
    candidates = np.argpartition(logits, len(logits) - n_candidates)[len(logits) - n_candidates :]
    ordered: list[int] = candidates[np.argsort(-logits[candidates], kind="stable")].tolist()
    return ordered


def log_probability(logits: Logits, token: int) -> float:
    """Of a token, in nats; logits of shape [n_vocab]."""
    largest = logits.max()
    return float(logits[token] - largest - np.log(np.exp(logits - largest).sum(dtype=np.float64)))
