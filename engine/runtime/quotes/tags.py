"""Quotes that a model opens by itself, in the form that it was told: `<quote>`, words of what was sent, `</quote>`.

Outside of them nothing is touched: tokens are drawn as ever. Inside, the likeliest token that what was sent goes on
with is written. A quote cannot be taken back, since its text is on its way to who reads it: where the model is no
longer sure, or would end its reply, the quote is ended at the next word's end.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from engine.runtime.events import QUOTE_TAG, HeldQuote
from engine.runtime.quotes.evidence import (
    LOWEST,
    LOWEST_FIRST,
    MOST_TOKENS,
    Logits,
    log_probability,
    next_token,
)
from engine.runtime.quotes.index import QuoteIndex
from engine.runtime.quotes.machine import BLANKS, MARK, Quote, State, allows, close, opened, step

TAG = QUOTE_TAG.encode()
_LONGEST_PIECE = 32  # bytes, of tokens that marks are spelled with


class Tags:
    """One reply's. quotes: those that ended, in order."""

    def __init__(
        self,
        index: QuoteIndex,
        piece: Callable[[int], bytes],
        is_end: Callable[[int], bool],
        n_vocab: int,
        before: bytes = b"",
    ) -> None:
        """piece, is_end: see write_quote. before: the bytes of the reply that it goes on from."""
        self._index, self._piece, self._is_end, self._n_vocab = index, piece, is_end, n_vocab
        self.quotes: list[HeldQuote] = []
        self._state: State | None = None
        self._forced: list[int] = []
        self._ending: Quote | None = None  # that what is forced ends; none where it has no words yet
        self._is_ending = False
        self._lowest, self._n_tokens, self._tail = 0.0, 0, before[-len(TAG) + 1 :]
        at = before.rfind(TAG)
        if at >= 0 and MARK not in before[at:]:
            self._open(before[at + len(TAG) :])

    @property
    def chooses(self) -> bool:
        """Whether the next token is to be chosen here."""
        return bool(self._forced) or self._state is not None

    def choose(self, logits: Logits) -> int:
        """The next token inside a quote; logits of shape [n_vocab], not kept. Never one that ends the reply."""
        if self._forced:
            return self._forced.pop(0)
        state = self._state
        assert state is not None
        can_end = close(state) is not None or not self._n_tokens
        # white space behind white space adds nothing: before there is a word it could go on for ever
        struck = self._blanks if state.blank and not can_end else frozenset()
        token = next_token(logits, state, self._piece, self._is_end, struck)
        if token is None and not can_end:  # within a word that is hardly ever written so
            order = np.argsort(-logits, kind="stable").tolist()
            token = next((each for each in order if each not in struck and allows(state, self._piece(each))), None)
        if token is None or self._is_end(token):
            return self._end(state, logits)
        probability = log_probability(logits, token)
        is_unsure = probability < (LOWEST if self._n_tokens else LOWEST_FIRST)
        if can_end and (is_unsure or self._n_tokens >= MOST_TOKENS):
            return self._end(state, logits)
        self._lowest = min(self._lowest, probability)
        return token

    def instead_of(self, token: int) -> int:
        """What is written for a token that was drawn outside: itself, but where it opens a quote and goes on with what
        stands nowhere; then the opening alone."""
        text = self._tail + self._piece(token)
        at = text.find(TAG) + len(TAG)
        if at < len(TAG) or at == len(text) or allows(opened(self._index), text[at:]):
            return token
        self._forced = self._spelled(text[len(self._tail) : at])
        return self._forced.pop(0) if self._forced else token

    def add(self, token: int) -> None:
        """A token was written."""
        text = self._piece(token)
        if self._state is not None and not self._is_ending:
            self._state = step(self._state, text)
            self._n_tokens += 1
            if self._state.closed is not None:
                self._finish(self._state.closed)
        elif self._is_ending:
            if not self._forced:
                self._finish(self._ending)
        else:
            text = self._tail + text
            self._tail, at = text[-len(TAG) + 1 :], text.find(TAG)
            if at >= 0 and not self._forced:
                self._open(text[at + len(TAG) :])

    def _open(self, words: bytes) -> None:
        """Behind the opening mark and these bytes; what stands nowhere (of a reply that was not held) is left alone."""
        state = opened(self._index)
        if words and not allows(state, words):
            return
        self._state = step(state, words) if words else state
        self._lowest, self._n_tokens, self._tail = 0.0, int(bool(words.strip())), b""

    def _end(self, state: State, logits: Logits) -> int:
        """The first token of what is left of the closing mark."""
        n_written = state.closing.n_bytes if state.closing is not None else 0
        self._forced = self._spelled(MARK[n_written:])
        self._ending = state.closing.quote if state.closing is not None else close(state)
        self._is_ending = True
        if not self._forced:  # a vocabulary without these bytes
            self._finish(None)
            return int(logits.argmax())
        return self._forced.pop(0)

    def _finish(self, quote: Quote | None) -> None:
        if quote is not None:
            self.quotes.append(HeldQuote(quote.words.decode(), self._lowest))
        self._state, self._ending, self._is_ending, self._tail = None, None, False, b""

    def _spelled(self, text: bytes) -> list[int]:
        """Tokens that are these bytes; none where the vocabulary has not all of them."""
        tokens: list[int] = []
        while text:
            longest = min(len(text), _LONGEST_PIECE)
            n_bytes = next((n for n in range(longest, 0, -1) if text[:n] in self._by_piece), 0)
            if not n_bytes:
                return []
            tokens.append(self._by_piece[text[:n_bytes]])
            text = text[n_bytes:]
        return tokens

    @cached_property
    def _blanks(self) -> frozenset[int]:
        """Tokens that are white space alone."""
        return frozenset(token for piece, token in self._by_piece.items() if piece and not piece.strip(BLANKS))

    @cached_property
    def _by_piece(self) -> dict[bytes, int]:
        return {self._piece(token): token for token in range(self._n_vocab - 1, -1, -1)}
