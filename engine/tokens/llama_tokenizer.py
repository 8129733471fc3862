"""llama.cpp's own tokenizer, in a child process: the truth about a vocabulary, and the encoder where tiktoken differs.

Run as `python -m engine.tokens.llama_tokenizer IN OUT`, it serves frames; imported, it is the parent's side.
"""

import ctypes
import os
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread, stack_size
from typing import Any

import numpy as np

from engine.child import Channel, Child, Frame, channel_of_child, offer_to_oom_killer
from engine.errors import EngineDied, EngineKilled, ModelRefused
from engine.tokens.document import Ids

_ERROR = 4  # GGML_LOG_LEVEL_ERROR
_UNKNOWN_RULE = re.compile(r"unknown pre-tokenizer type: ('[^']*')")
_HEARD: list[object] = []  # what llama.cpp calls for as long as the process lives
_PATIENCE_S = 0.1  # with an answer that is nearly there


@dataclass(frozen=True, slots=True)
class Facts:
    """What llama.cpp makes of a vocabulary: it overrides some of what the file says.

    control: ids that text of the corpus must never become, those that end a reply among them.
    """

    control: tuple[int, ...]
    bos_id: int | None
    add_bos: bool


class LlamaTokenizer:
    """The parent's side: one child with the vocabulary loaded, started at the first call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._child: Child | None = None
        self._lock = Lock()

    def facts(self) -> Facts:
        """Raises ModelRefused when llama.cpp does not accept the vocabulary."""
        fields = self._ask({"do": "facts"}).fields
        return Facts(tuple(fields["control"]), fields["bos_id"], fields["add_bos"])

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text as it stands: without BOS, EOS or a space put before it. User-defined tokens are recognized.

        Raises EngineDied when llama.cpp breaks on a text.
        """
        if not texts:
            return []
        raw = [text.encode("utf-8", "replace") for text in texts]
        answer = self._ask({"do": "encode", "lengths": [len(part) for part in raw]}, b"".join(raw))
        return np.split(np.frombuffer(answer.payload, dtype="<i4"), np.cumsum(answer.fields["counts"])[:-1])

    def close(self) -> None:
        """Ends the child; it starts again when it is needed. Whoever still waits for ids then gets EngineDied."""
        if not self._lock.acquire(timeout=_PATIENCE_S):
            if (child := self._child) is not None:
                child.kill()  # megabytes may be on their way, and whoever closes wants none of them
            self._lock.acquire()
        try:
            self._close()
        finally:
            self._lock.release()

    def _ask(self, fields: dict[str, Any], payload: bytes = b"") -> Frame:
        with self._lock:
            if self._child is None:
                self._open()
            assert self._child is not None
            try:
                self._child.send(fields, payload)
                frame = self._child.receive()
            except EngineDied:
                self._close()
                raise
        assert frame is not None  # without a timeout
        return frame

    def _open(self) -> None:
        self._child = child = Child("engine.tokens.llama_tokenizer")  # before it is waited for: see close
        try:
            child.send({"do": "open", "path": str(self._path)})
            frame = child.receive()
            reason, words = "", ""
            if frame is None or not frame.fields["opened"]:
                words = frame.fields["words"] if frame is not None else ""
                reason = f"llama.cpp does not accept it{f': {words}' if words else ''}."
        except EngineKilled:  # that says nothing of the vocabulary
            self._close()
            raise
        except EngineDied as error:
            reason, words = error.fact, ""
        if rule := _UNKNOWN_RULE.search(words):
            self._close()
            raise ModelRefused(
                f"{self._path} says that text is cut by the rule {rule[1]} (tokenizer.ggml.pre) before it is encoded. "
                "This release of llama.cpp does not know that rule and refuses the file, so nothing can be counted.",
                "Use a newer release of llama.cpp, or a GGUF of the model that was made for this one.",
            )
        if reason:
            self._close()
            raise ModelRefused(
                f"The vocabulary of {self._path} cannot be loaded: {reason}",
                "The file may be damaged, or newer than this release of llama.cpp.",
            )

    def _close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


def serve() -> None:
    """The child's loop: opens one model for its vocabulary alone and answers until the parent is gone."""
    import llama_cpp

    offer_to_oom_killer()
    channel = channel_of_child()
    channel.end_with_other_side()
    llama_cpp.llama_backend_init()
    words: deque[str] = deque(maxlen=3)
    _listen(words)
    vocab = None
    while (frame := channel.receive()) is not None:
        if frame.fields["do"] == "open":
            parameters = llama_cpp.llama_model_default_params()
            parameters.vocab_only = True
            model = llama_cpp.llama_model_load_from_file(os.fsencode(frame.fields["path"]), parameters)
            vocab = llama_cpp.llama_model_get_vocab(model) if model else None
            channel.send({"opened": bool(vocab), "words": " ".join(words)[-400:].rstrip(". ")})
        elif frame.fields["do"] == "facts":
            channel.send(_facts(vocab))
        else:
            _encode(channel, vocab, frame)


def _listen(words: "deque[str]") -> None:
    """Keeps what llama.cpp says went wrong; whoever opens a file hears of it."""
    import llama_cpp

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def heard(level: int, text: bytes, _: object) -> None:
        if level == _ERROR:
            words.append(text.decode("utf-8", "replace").strip())

    llama_cpp.llama_log_set(heard, ctypes.c_void_p(0))
    _HEARD.append(heard)


def _facts(vocab: object) -> dict[str, object]:
    import llama_cpp

    n_tokens = llama_cpp.llama_vocab_n_tokens(vocab)
    hidden = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
    bos = llama_cpp.llama_vocab_bos(vocab)
    eog = [token for token in range(n_tokens) if llama_cpp.llama_vocab_is_eog(vocab, token)]
    control = [token for token in range(n_tokens) if llama_cpp.llama_vocab_get_attr(vocab, token) & hidden]
    return {
        "control": sorted({*control, *eog}),
        "bos_id": bos if bos >= 0 else None,
        "add_bos": llama_cpp.llama_vocab_get_add_bos(vocab),
    }


def _encode(channel: Channel, vocab: object, frame: Frame) -> None:
    """Answers with the ids of every text.

    Some SentencePiece models put a space before each text that llama.cpp tokenizes. Texts here are pieces of a longer
    one, so a NUL goes first, which no piece of a vocabulary holds, and its ids and the space's are cut off again.
    """
    guard = _tokenize(vocab, b"\0") if _has_nul(vocab) else memoryview(b"")
    before = b"\0" if len(guard) == 2 else b""  # a space and the NUL
    counts, parts, at = [], [], 0
    for length in frame.fields["lengths"]:
        text = frame.payload[at : at + length]
        at += length
        ids = _tokenize(vocab, before + text)
        ids = ids[len(guard) :] if before else ids
        counts.append(len(ids))
        parts.append(bytes(ids))
    channel.send({"counts": counts}, b"".join(parts))


def _has_nul(vocab: object) -> bool:
    """Whether a SentencePiece vocabulary has a token for the NUL byte; llama.cpp aborts on bytes without one."""
    import llama_cpp

    return llama_cpp.llama_vocab_type(vocab) == llama_cpp.LLAMA_VOCAB_TYPE_SPM and any(
        llama_cpp.llama_vocab_get_text(vocab, token) == b"<0x00>"
        for token in range(llama_cpp.llama_vocab_n_tokens(vocab))
    )


def _tokenize(vocab: object, text: bytes) -> memoryview:
    """Ids as int32, control tokens not recognized."""
    import llama_cpp

    room = len(text) + 8  # no token is shorter than a byte
    ids = (ctypes.c_int32 * room)()
    n_ids = llama_cpp.llama_tokenize(vocab, text, len(text), ids, room, False, False)
    if n_ids < 0:  # but a character may be normalized into a longer one
        ids = (ctypes.c_int32 * -n_ids)()
        n_ids = llama_cpp.llama_tokenize(vocab, text, len(text), ids, -n_ids, False, False)
    return memoryview(ids).cast("B").cast("i")[:n_ids]


if __name__ == "__main__":
    stack_size(512 << 20)  # llama.cpp's regular expressions recurse a frame a character
    thread = Thread(target=serve)
    thread.start()
    thread.join()
