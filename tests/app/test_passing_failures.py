"""What fails once is tried again: no failure that passes is remembered as a fact, wherever something is remembered."""

import errno
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.images.jpegs import Drawing, Thumbnailer, Wish
from app.sources import colouring, library
from app.sources.colouring import Colourist
from app.sources.library import Library
from engine.child import Child
from engine.corpus.source import KeptFile, Picture, Source
from engine.errors import EngineAway, EngineDied, EngineFailed, EngineKilled, ModelRefused
from engine.memory import dry_run, projector
from engine.memory.dry_run import DryRun
from engine.prompt import rendering
from engine.prompt.template import read_template
from engine.remote.connection import Connection
from engine.remote.counting import Views, Words
from engine.tokens import byte_pairs, proof
from engine.tokens.byte_pairs import BytePairEncoder
from engine.tokens.llama_tokenizer import LlamaTokenizer

SOURCE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def failing_once(real: Callable[..., Any], fail: Callable[[], Any], times: int = 1) -> Callable[..., Any]:
    left = [times]

    def call(*args: Any, **kwargs: Any) -> Any:
        if left[0]:
            left[0] -= 1
            return fail()
        return real(*args, **kwargs)

    return call


def raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


KILLED = subprocess.CompletedProcess([], -signal.SIGKILL)
SLOW = raising(subprocess.TimeoutExpired([], 60))


class TestTheChatTemplate:
    """A rendering child that died once had its model speak by a plain template for as long as the process lived."""

    @pytest.mark.parametrize("fail", [lambda: KILLED, lambda: subprocess.CompletedProcess([], 1)])
    def test_one_death_is_not_noticed(self, monkeypatch: pytest.MonkeyPatch, fail: Callable[[], Any]) -> None:
        monkeypatch.setattr(rendering.subprocess, "run", failing_once(subprocess.run, fail))
        assert read_template(f"{SOURCE}{{# {fail} #}}", bos="", eos="").name == "model"

    @pytest.mark.parametrize(("fail", "times"), [(lambda: KILLED, 2), (SLOW, 1)])
    def test_several_are_an_error_that_is_not_remembered(
        self, monkeypatch: pytest.MonkeyPatch, fail: Callable[[], Any], times: int
    ) -> None:
        source = f"{SOURCE}{{# several {times} #}}"
        monkeypatch.setattr(rendering.subprocess, "run", failing_once(subprocess.run, fail, times=times))
        with pytest.raises(EngineFailed, match=r"ended from outside, or got no time\. Ask again"):
            read_template(source, bos="", eos="")
        assert read_template(source, bos="", eos="").name == "model"

    @pytest.mark.parametrize("code", [-signal.SIGXCPU, -signal.SIGXFSZ, 3])
    def test_its_own_limits_are_a_fact(self, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
        limited = subprocess.CompletedProcess([], code)
        monkeypatch.setattr(rendering.subprocess, "run", lambda *args, **kwargs: limited)
        found = read_template(f"{SOURCE}{{# {code} #}}", bos="", eos="")
        assert (found.name, found.fault) == ("plain", "it takes too much time or memory")

    @pytest.mark.slow  # 2 s of a core
    def test_a_template_without_end_meets_its_limit(self) -> None:
        endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
        assert read_template(endless, bos="", eos="").fault == "it takes too much time or memory"


class TestColours:
    def test_a_child_that_was_slow_or_died_is_asked_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = ((0, 3, "k"),)
        colourist = Colourist()
        asked = failing_once(lambda *_: found, lambda: None)
        monkeypatch.setattr(Colourist, "_asked", lambda self, *args: asked(*args))
        monkeypatch.setattr(colouring, "_RETRY_S", 0.0)
        assert colourist.colours("d", "a.py", "text", "def", 0, 3) == ()
        assert colourist.colours("d", "a.py", "text", "def", 0, 3) == found


class TestPicturesOnThePage:
    def test_what_could_not_be_drawn_is_drawn_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(library, "_RETRY_S", 0.0)
        shelf, volume = Library(lambda *_: None), SimpleNamespace(source=SimpleNamespace(path="a", digest="d"))
        make = failing_once(lambda: {"address": "x"}, lambda: "There is no memory for it.")
        assert shelf.drawn(volume, "page 1", make) == "There is no memory for it."  # type: ignore[arg-type]
        assert shelf.drawn(volume, "page 1", make) == {"address": "x"}  # type: ignore[arg-type]

    def test_so_are_thumbnails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from app.images import jpegs

        monkeypatch.setattr(jpegs, "_RETRY_S", 0.0)
        draw = failing_once(lambda *_: Drawing(1, 1, b"jpeg"), lambda: None)
        monkeypatch.setattr(jpegs, "draw", draw)
        thumbnailer = Thumbnailer(lambda *_: SimpleNamespace(source=None))  # type: ignore[arg-type, return-value]
        assert thumbnailer.draw("s", [Wish("a", "d")], within_s=1).addresses == {}
        assert len(thumbnailer.draw("s", [Wish("a", "d")], within_s=1).addresses) == 1


class Adapter:
    """Counts when it can: what a server was asked fails by the list, then works."""

    engine, id, how_counted = "fake", "m", ""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.connection = SimpleNamespace(address=SimpleNamespace(base="http://x"))

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        self._fail()
        return [[1, 2, 3] for _ in texts]

    def count(self, messages: list[Any]) -> int:
        self._fail()
        return 110 if isinstance(messages[0]["content"], list) and len(messages[0]["content"]) == 2 else 10


class TestServers:
    def test_one_that_was_away_still_counts(self) -> None:
        words = Words(Adapter(EngineAway("Nobody listens.")))  # type: ignore[arg-type]
        with pytest.raises(EngineAway):
            words.encode_all(["text"])
        assert words.encode_all(["text"])[0].tolist() == [1, 2, 3]

    def test_one_that_has_no_such_call_is_not_asked_again(self) -> None:
        adapter = Adapter(ModelRefused("There is no such call."))
        words = Words(adapter)  # type: ignore[arg-type]
        first = words.encode_all(["text"])
        assert np.array_equal(first, words.encode_all(["text"])) and adapter.errors == []

    @pytest.mark.parametrize("error", [EngineAway("away"), EngineFailed("It failed with 500.")])
    def test_a_picture_that_was_guessed_once_is_counted_the_next_time(self, error: Exception) -> None:
        pictures = SimpleNamespace(url=lambda shown: "data:")
        views = Views(Adapter(error), pictures)  # type: ignore[arg-type]
        file, picture = KeptFile("PNG", b""), Picture(1, 100, 100)
        guessed, counted = (views.view(file, "d", picture).n_tokens for _ in range(2))
        assert guessed != counted == 100

    def test_a_call_that_could_not_be_made_is_not_one_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        connection = object.__new__(Connection)
        for error, told in ((EngineAway("away"), "raised"), (ModelRefused("404"), None), (EngineFailed("500"), None)):
            monkeypatch.setattr(Connection, "get", lambda self, *args, error=error, **more: raising(error)())
            try:
                assert connection.find("/props") is told
            except EngineAway:
                assert told == "raised"


class TestTheModel:
    def test_a_vocabulary_whose_child_was_killed_is_read_again(
        self, llama_gguf: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        receive = Child.receive
        monkeypatch.setattr(Child, "receive", failing_once(receive, raising(EngineKilled("It was killed."))))
        tokenizer = LlamaTokenizer(llama_gguf)
        try:
            with pytest.raises(EngineKilled):
                tokenizer.facts()
            assert tokenizer.facts().control
        finally:
            tokenizer.close()

    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space"), MemoryError()])
    def test_a_full_temporary_folder_does_not_make_an_encoder_slow_for_good(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        monkeypatch.setattr(byte_pairs, "TemporaryDirectory", lambda **_: raising(error)())
        ranks = {bytes([number]): number for number in range(256)}
        encoder = BytePairEncoder(ranks, byte_pairs.PATTERNS["llama-bpe"])
        with pytest.raises(type(error)):
            encoder.encode_quickly(["text"])
        assert len(encoder.encode(["text"])[0]) == 4
        vocabulary: Any = SimpleNamespace(digest="d")
        passing = proof.Proof("ids", proof.Facts((), None, False), doubt=proof._NOT_NOW)
        proof.write_proof(tmp_path, vocabulary, passing)
        assert list(tmp_path.iterdir()) == []

    def test_gpus_that_cannot_be_told_are_not_none_at_all(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dry_run, "has_gpu_back_ends", lambda: True)
        told: Any = SimpleNamespace(fields={"gpus": []})
        ask = failing_once(lambda fields: told, raising(EngineDied("The driver broke off.")), times=2)
        run = DryRun(tmp_path)
        monkeypatch.setattr(run, "_ask", ask)
        measured: Any = object()
        monkeypatch.setattr(run, "_ask_for", lambda card, placement: measured)
        monkeypatch.setattr(dry_run, "_digest", lambda card: "model")
        monkeypatch.setattr(run, "_write", lambda model: None)
        from engine.memory.budget import Placement

        card: Any = None
        assert run.gpus() == () and run.measure(card, Placement(n_ctx=1)) is measured
        assert run._known == {} and run.gpus() == () and run.measure(card, Placement(n_ctx=1)) is measured
        assert len(run._known) == 1

    @pytest.mark.parametrize(("number", "is_fact"), [(errno.EMFILE, False), (errno.EIO, False), (errno.EACCES, True)])
    def test_a_projector_that_could_not_be_read_for_a_moment_is_not_unfit(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_fact: bool
    ) -> None:
        (tmp_path / "mmproj-model.gguf").write_bytes(b"GGUF")

        def read(path: Path) -> Any:
            try:
                raise OSError(number, os.strerror(number))
            except OSError:
                raise ModelRefused(f"{path.name} cannot be read.") from None

        monkeypatch.setattr(projector, "read_projector", read)
        card: Any = SimpleNamespace(path=tmp_path / "model.gguf")
        if is_fact:
            assert projector.unfit_beside(card) == ("mmproj-model.gguf cannot be read.",)
        else:  # so that no model is kept open without it
            with pytest.raises(ModelRefused, match="cannot be read"):
                projector.unfit_beside(card)


def test_a_count_with_what_could_not_be_read_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    from app.cli import corpus as cli
    from engine.backend import Cause, Corpus, Skipped
    from engine.corpus.rules import Rules

    read = Corpus((Source.written("a", "text"),), (Skipped("b", Cause.UNREADABLE, "Input/output error"),), survey="s")
    about = SimpleNamespace(about=lambda: None, count=lambda corpus: SimpleNamespace(prompt=None))
    about.settings = SimpleNamespace(reply_tokens=1)
    monkeypatch.setattr(cli, "open_desk", lambda **_: nullcontext(about))
    monkeypatch.setattr(cli, "count_json", lambda *_: {})
    monkeypatch.setattr(cli, "cost_of_prompt", lambda *_: None)
    for corpus, kept in ((read, None), (Corpus(read.sources, survey="s"), "s")):
        monkeypatch.setattr(cli, "_read_to_count", lambda *_, corpus=corpus: corpus)
        assert cli.count_anew([], Rules(), read_again=False)[1] == kept
