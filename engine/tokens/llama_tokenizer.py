"""llama.cpp's own tokenizer, in a child process: the truth about a vocabulary, and the encoder where tiktoken differs.

Run as `python -m engine.tokens.llama_tokenizer IN OUT`, it serves frames; imported, it is the parent's side.
"""

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread, stack_size
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.child import Child, channel_of_child, offer_to_oom_killer
from engine.errors import ModelRefused


@dataclass(frozen=True, slots=True)
class Facts:
    """What llama.cpp makes of a vocabulary: it overrides some of what the file says.

    control: ids that text of the corpus must never become. eog: ids that end a reply.
    """

    control: tuple[int, ...]
    eog: tuple[int, ...]
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
        with self._lock:
            child = self._started()
            child.send({"do": "facts"})
            fields = self._answer(child)[0]
        return Facts(tuple(fields["control"]), tuple(fields["eog"]), fields["bos_id"], fields["add_bos"])

    def encode(self, texts: Sequence[str], *, special: bool = False) -> list[NDArray[np.int32]]:
        """Ids of each text, without BOS or EOS; special: whether control tokens are recognized in it."""
        raw = [text.encode("utf-8", "replace") for text in texts]
        with self._lock:
            child = self._started()
            child.send({"do": "encode", "special": special, "lengths": [len(part) for part in raw]}, b"".join(raw))
            fields, payload = self._answer(child)
        ids = np.frombuffer(payload, dtype="<i4")
        return np.split(ids, np.cumsum(fields["counts"])[:-1]) if texts else []

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _started(self) -> Child:
        if self._child is None or not self._child.alive:
            self._child = Child("engine.tokens.llama_tokenizer")
            self._child.send({"do": "open", "path": str(self._path)})
            self._answer(self._child)
        return self._child

    def _answer(self, child: Child) -> tuple[dict[str, Any], bytes]:
        frame = child.receive()
        if frame is None or "refused" in frame.fields:
            raise ModelRefused(
                f"llama.cpp does not accept the vocabulary of {self._path}.",
                "The file may be damaged, or newer than this release of llama.cpp.",
            )
        return frame.fields, frame.payload


def serve() -> None:
    """The child's loop: opens one model for its vocabulary alone and answers until the parent is gone."""
    import llama_cpp

    offer_to_oom_killer()
    channel = channel_of_child()
    llama_cpp.llama_backend_init()
    vocab = None
    while (frame := channel.receive()) is not None:
        if frame.fields["do"] == "open":
            parameters = llama_cpp.llama_model_default_params()
            parameters.vocab_only = True
            model = llama_cpp.llama_model_load_from_file(os.fsencode(frame.fields["path"]), parameters)
            vocab = llama_cpp.llama_model_get_vocab(model) if model else None
            channel.send({} if vocab else {"refused": True})
        elif frame.fields["do"] == "facts":
            channel.send(_facts(vocab))
        else:
            _serve_encode(channel, vocab, frame.fields["special"], frame.fields["lengths"], frame.payload)


def _facts(vocab: object) -> dict[str, object]:
    import llama_cpp

    n_tokens = llama_cpp.llama_vocab_n_tokens(vocab)
    hidden = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
    bos = llama_cpp.llama_vocab_bos(vocab)
    eog = [token for token in range(n_tokens) if llama_cpp.llama_vocab_is_eog(vocab, token)]
    control = [token for token in range(n_tokens) if llama_cpp.llama_vocab_get_attr(vocab, token) & hidden]
    return {
        "control": sorted({*control, *eog}),
        "eog": eog,
        "bos_id": bos if bos >= 0 else None,
        "add_bos": llama_cpp.llama_vocab_get_add_bos(vocab),
    }


def _serve_encode(channel, vocab, special, lengths, payload) -> None:  # type: ignore[no-untyped-def]
    import llama_cpp

    counts, parts, at = [], [], 0
    for length in lengths:
        text = payload[at : at + length]
        at += length
        room = length + 8  # no token is shorter than a byte
        ids = (ctypes.c_int32 * room)()
        n_ids = llama_cpp.llama_tokenize(vocab, text, length, ids, room, False, special)
        if n_ids < 0:  # byte tokens of characters that are normalized into longer ones
            ids = (ctypes.c_int32 * -n_ids)()
            n_ids = llama_cpp.llama_tokenize(vocab, text, length, ids, -n_ids, False, special)
        counts.append(n_ids)
        parts.append(bytes(memoryview(ids).cast("B")[: 4 * n_ids]))
    channel.send({"counts": counts}, b"".join(parts))


if __name__ == "__main__":
    stack_size(512 << 20)  # llama.cpp's regular expressions recurse a frame a character
    thread = Thread(target=serve)
    thread.start()
    thread.join()
