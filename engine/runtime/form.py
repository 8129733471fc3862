"""The form that a reply is held to: a grammar, of whose texts no token may leave. Lives in the engine's child.

What a grammar says is llguidance's business, in its Lark dialect; which one is taken is up to whoever asks.
"""

import ctypes
from typing import Any

import llama_cpp
import llguidance
import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineFailed
from engine.runtime.pieces import piece_of

_SPECIAL = b"\xff"  # llguidance's mark of a token that is no text
_NO_TEXT = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN | llama_cpp.LLAMA_TOKEN_ATTR_UNUSED


class Vocabulary:
    """A model's tokens as llguidance wants them; made once a model, which takes up to a second."""

    def __init__(self, vocab: Any) -> None:
        n_vocab = int(llama_cpp.llama_vocab_n_tokens(vocab))
        ends = [token for token in range(n_vocab) if llama_cpp.llama_vocab_is_eog(vocab, token)]
        tokens = [_text_of(vocab, token) for token in range(n_vocab)]
        tokenize = ctypes.cast(llama_cpp.llama_cpp._lib.llama_tokenize, ctypes.c_void_p).value
        self.has_end = bool(ends)
        self.tokenizer = llguidance.LLTokenizer.from_llamacpp(  # type: ignore[attr-defined]
            tokens=tokens, vocab_ptr=vocab, tokenize_fptr=tokenize, eos_token=ends or [n_vocab - 1]
        )


class Form:
    """One reply on its way through a grammar."""

    def __init__(self, vocabulary: Vocabulary, grammar: str) -> None:
        """Raises EngineFailed for a grammar that is none."""
        self._matcher = llguidance.LLMatcher(vocabulary.tokenizer, grammar, log_level=0)
        self._check()

    @property
    def is_over(self) -> bool:
        """Whether nothing may follow."""
        return bool(self._matcher.is_stopped())

    def hold(self, logits: NDArray[np.float32]) -> None:
        """Makes every token impossible that would leave the form. logits: of shape [n_vocab], changed in place."""
        allowed = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        logits[np.unpackbits(allowed, count=len(logits), bitorder="little") == 0] = -np.inf

    def take(self, token: int) -> None:
        """The next token of the reply. Raises EngineFailed where it leaves the form."""
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise EngineFailed(
                f"The reply cannot be held to its form: {self._matcher.get_error()[:300]}", "Report this."
            )


def _text_of(vocab: Any, token: int) -> bytes:
    """A token's bytes, marked where it is no text."""
    text = piece_of(vocab, token, special=True)
    attributes = llama_cpp.llama_vocab_get_attr(vocab, token)
    is_tag = attributes & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED and text.startswith(b"<") and text.endswith(b">")
    return _SPECIAL + text if attributes & _NO_TEXT or is_tag else text
