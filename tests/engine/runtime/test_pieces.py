"""Tokens of more bytes than a buffer has room for: said whole, counted as one."""

from pathlib import Path
from threading import Event as Flag

import llama_cpp
import numpy as np
import pytest

from engine.gguf import read_header
from engine.local.process import EngineProcess
from engine.memory.budget import Placement
from engine.prompt.prompt import Part, Prompt, Segment
from engine.runtime import pieces
from engine.runtime.events import Finished, Sampling, Text
from engine.runtime.settings import EngineSettings
from engine.tokens.proof import open_tokenizer
from tests.models.scripted import build_scripted
from tests.models.variants import llama_with

LONG = [" " * 256, "=" * 257, "é" * 200, "x" * 1_000]


@pytest.mark.slow  # a process that loads a model
def test_they_are_said_whole(tmp_path: Path) -> None:
    model = build_scripted(tmp_path / "m.gguf", LONG)
    process = EngineProcess(EngineSettings(model=model, placement=Placement(n_ctx=512, n_ubatch=64), n_threads=1))
    try:
        prompt = Prompt((Segment(Part.QUESTION, np.array([1, 2, 3], dtype=np.int32)),))
        events = list(process.generate(prompt, Sampling(max_tokens=9), cancel=Flag()))
        held = list(process.generate(prompt, Sampling(max_tokens=300), cancel=Flag(), form='start: "=" /=+/ "\\n"'))
    finally:
        process.close()
    assert "".join(event.text for event in events if isinstance(event, Text)) == "".join(LONG)
    assert isinstance(events[-1], Finished) and len(events[-1].reply_ids) == len(LONG)
    assert {*"".join(event.text for event in held if isinstance(event, Text))} <= {"=", "\n"}  # they break no form


def test_they_are_counted_as_one(tmp_path: Path) -> None:
    plain = open_tokenizer(read_header(llama_with(tmp_path / "plain.gguf")))
    names = [plain.vocabulary.texts[number] for number in range(300, 303)]
    texts = dict(zip(names, ("=" * 300, "~" * 257, "#" * 1_000), strict=True))
    path = llama_with(tmp_path / "m.gguf", texts=texts, types=dict.fromkeys(names, 4))
    tokenizer = open_tokenizer(read_header(path))
    try:
        for number, text in zip(range(300, 303), texts.values(), strict=True):
            ids = tokenizer.encode(f"a{text}b").tolist()
            assert ids.count(number) == 1 and len(ids) == 3
    finally:
        tokenizer.close()
        plain.close()


def test_a_buffer_grows_to_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def piece(vocab: object, token: int, buffer: object, room: int, lstrip: int, special: bool) -> int:
        data = b"y" * token
        if len(data) > room:
            return -len(data)
        buffer[: len(data)] = data  # type: ignore[index]
        return len(data)

    monkeypatch.setattr(llama_cpp, "llama_token_to_piece", piece)
    for n_bytes in (0, 1, 255, 256, 257, 5_000):
        assert pieces.piece_of(None, n_bytes, special=False) == b"y" * n_bytes
    monkeypatch.setattr(llama_cpp, "llama_token_to_piece", lambda *_: -1)
    assert pieces.piece_of(None, 1, special=False) == b""
