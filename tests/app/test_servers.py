"""Desk over engines that run elsewhere: llama.cpp's own server, and stubs for what that never does."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as Flag

import pytest

from app.checking_again import verify_session
from app.desk import Desk
from app.question import Answered, DeskEvent, Notice, Question
from app.settings import Settings
from app.verdicts import room_on_server, verdict
from engine.backend import Text
from engine.errors import DoesNotFit, EngineFailed, UsageError
from storage.records import Turn
from tests.command_line import CommandLine
from tests.engine.remote import stubs
from tests.engine.remote.stubs import Stub, serving
from tests.llama_cpp_server import LlamaCppServer

NewDesk = Callable[..., Desk]
KEY = "sk-marked-5f1c0ffee-key"


@pytest.fixture(scope="module")
def server(llama_gguf: Path) -> Iterator[LlamaCppServer]:
    with LlamaCppServer(llama_gguf, n_ctx=4096) as running:
        yield running


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[NewDesk]:
    desks = []

    def build(model: str | Path, **changes: object) -> Desk:
        settings = Settings(home=tmp_path / "home", model=str(model), reply_tokens=8, **changes)  # type: ignore[arg-type]
        desks.append(Desk(settings))
        return desks[-1]

    yield build
    for desk in desks:
        desk.close()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(4):
        (folder / f"part{number}.txt").write_text("".join(f"part {number}, line {line}\n" for line in range(20)))
    return folder


def heard(desk: Desk, text: str, cancel: Flag | None = None, **asked: object) -> list[DeskEvent]:
    return list(desk.ask(Question(text=text, **asked), cancel=cancel or Flag()))  # type: ignore[arg-type]


def ask(desk: Desk, text: str, **asked: object) -> Turn:
    answered = [event for event in heard(desk, text, **asked) if isinstance(event, Answered)]
    return answered[-1].turn


def test_a_question_and_its_follow_up_cost_what_was_said(
    new_desk: NewDesk, corpus: Path, server: LlamaCppServer
) -> None:
    desk = new_desk(server.url)
    first = ask(desk, "What is it?", corpus=desk.read([corpus]))
    assert first.stop == "length" and first.text and first.reply_tokens == 8 and first.reply_ids == ()
    ahead = desk.preview(first.session_id, "And then?")
    second = ask(desk, "And then?", session=first.session_id)
    assert second.prompt_tokens == ahead.prompt.n_tokens == ahead.corpus_tokens + ahead.chat_tokens
    assert (second.reused_tokens or 0) >= (first.prompt_tokens or 0) - 1
    assert second.receipt is not None
    told = second.receipt["server"]
    assert told["prompt_tokens"] == second.prompt_tokens == second.receipt["prompt_tokens"] and told["differs_by"] == 0
    assert told["cached_tokens"] == second.reused_tokens and told["engine"].startswith("llama-server")
    assert sum(second.receipt["tokens"].values()) == second.prompt_tokens
    counted = desk.count(desk.read([corpus]))
    assert counted.total_tokens == counted.template_tokens + sum(document.n_tokens for document in counted.documents)
    assert verdict(desk.plan(counted)) == "It fits now." and "0 of 1 slot busy" in room_on_server(desk.plan(counted))


def test_a_session_goes_from_a_file_to_a_server_and_back(
    new_desk: NewDesk, corpus: Path, server: LlamaCppServer, llama_gguf: Path
) -> None:
    here = new_desk(llama_gguf)
    first = ask(here, "What is it?", corpus=here.read([corpus]))
    there = new_desk(server.url)
    second = ask(there, "And then?", session=first.session_id)
    third = ask(here, "And at last?", session=first.session_id)
    assert [turn.text for turn in here.turns(first.session_id)] == [first.text, second.text, third.text]
    assert (first.vocabulary, second.vocabulary) == (third.vocabulary, "")
    assert second.receipt is not None and second.receipt["history"] == [0]
    assert (third.reused_tokens or 0) >= (first.prompt_tokens or 0), "what it had read before the server was asked"
    again = ask(there, "Once more?", session=first.session_id)
    assert again.prompt_tokens is not None and again.prompt_tokens > (third.prompt_tokens or 0)


def test_a_reply_goes_on_and_its_receipt_holds(new_desk: NewDesk, corpus: Path, server: LlamaCppServer) -> None:
    desk = new_desk(server.url)
    first = ask(desk, "What is it?", corpus=desk.read([corpus]))
    assert first.stop == "length"
    whole = ask(desk, "", session=first.session_id, goes_on=first.index)
    assert whole.index == first.index and whole.text.startswith(first.text) and len(whole.text) > len(first.text)
    assert whole.text.count(first.text) == 1 and whole.prompt_tokens == first.prompt_tokens and not whole.reply_ids
    checked = verify_session(desk.record(first.session_id), desk.backend)
    assert checked.faults == [] and "is not a file on this machine" in " ".join(checked.unchecked)


def test_a_server_that_dies_keeps_what_it_wrote_and_says_so(new_desk: NewDesk, llama_gguf: Path) -> None:
    with LlamaCppServer(llama_gguf, n_ctx=512) as dying:
        desk, events = new_desk(dying.url), list[DeskEvent]()
        for event in desk.ask(Question(text="Go on."), cancel=Flag()):
            events.append(event)
            if isinstance(event, Text) and dying.process.poll() is None:
                dying.kill()
        (turn,) = desk.turns(next(event.turn for event in events if isinstance(event, Answered)).session_id)
        assert turn.stop in ("error", "length") and turn.text
        assert turn.stop == "length" or "broke off" in str(turn.error)
        with pytest.raises(EngineFailed, match="Nobody listens"):
            ask(desk, "And now?", session=turn.session_id)


def test_what_a_server_alone_finds_too_long_is_the_same_refusal(new_desk: NewDesk, corpus: Path) -> None:
    stub = stubs.lm_studio()
    said = {"error": "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded "
                     "with context length of only 8192 tokens, which is not enough."}  # fmt: skip
    stub.routes["/v1/chat/completions"] = (400, said)
    with serving(stub):
        desk, events = new_desk(stub.url), list[DeskEvent]()
        with pytest.raises(DoesNotFit, match="808 tokens over"):
            for event in desk.ask(Question(text="What?", corpus=desk.read([corpus])), cancel=Flag()):
                events.append(event)
        last = events[-1]
        assert isinstance(last, Answered) and last.turn.stop == "error" and "808 tokens over" in str(last.turn.error)
        desk.close()


def test_an_estimate_is_marked_and_a_difference_stands_in_the_receipt(new_desk: NewDesk, corpus: Path) -> None:
    with serving(stubs.lm_studio()) as stub:
        desk = new_desk(stub.url)
        plan = desk.plan(desk.count(desk.read([corpus])))
        assert plan.estimated == ("prompt_tokens",)
        turn = ask(desk, "What?", corpus=desk.read([corpus]))
        assert turn.receipt is not None
        told = turn.receipt["server"]
        assert told["differs_by"] == told["prompt_tokens"] - told["counted_tokens"] != 0
        desk.close()


def test_a_model_that_is_here_too_counts_for_a_server_that_cannot(
    new_desk: NewDesk, corpus: Path, llama_gguf: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "Scout-Q4_K_M.gguf").symlink_to(llama_gguf)
    (folder / "scouts.gguf").write_bytes(b"another")
    here = new_desk(llama_gguf)
    counted = here.count(here.read([corpus]))
    blob = stubs.ollama()
    blob.routes["/api/show"]["modelfile"] = f"# of Ollama\nFROM {llama_gguf}\n"
    for stub, name in ((stubs.lm_studio(), "Scout-Q4_K_M.gguf"), (blob, llama_gguf.name)):
        with serving(stub):
            desk = new_desk(stub.url, models=(folder,))
            there = desk.count(desk.read([corpus]))
            assert there.total_tokens == counted.total_tokens and not there.how_counted
            assert [each.n_tokens for each in there.documents] == [each.n_tokens for each in counted.documents]
            assert f"with the vocabulary of {name}" in " ".join(desk.plan(there).notes)
            turn = ask(desk, "What?", corpus=desk.read([corpus]))
            assert turn.receipt is not None and turn.receipt["server"]["counted"].endswith(name)
            desk.close()


def test_a_corpus_is_read_in_passes_over_a_server(new_desk: NewDesk, corpus: Path, server: LlamaCppServer) -> None:
    desk = new_desk(server.url)
    turn = ask(desk, "What is it?", corpus=desk.read([corpus]), in_passes=True, pass_tokens=300)
    assert turn.receipt is not None and turn.receipt["passes"]["n_passes"] > 1 and turn.text
    notes = [each["note"] for each in turn.receipt["passes"]["slices"]]
    assert all(note["confidence"] or note["text"] for note in notes)


def marked(stub: Stub) -> Stub:
    """It says the key that it was sent, wherever it can."""
    stub.routes["/version"] = (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})
    stub.routes["/v1/chat/completions"] = (500, {"error": {"message": f"no such user: Bearer {KEY}"}})
    return stub


@pytest.mark.slow
def test_a_key_leaves_no_trace(tmp_path: Path, corpus: Path) -> None:
    """In database, exports, what is printed, and files of any kind: with an answer, and with errors that say it."""
    said = []
    for stub in (stubs.vllm(), marked(stubs.vllm())):
        with serving(stub):
            longdesk = CommandLine(tmp_path / "home", stub.url, {"LONGDESK_API_KEY": KEY})
            runs = [longdesk("ask", corpus, "-q", "What is it?", "--json", "--max-tokens", "8")]
            runs += [
                longdesk("count", corpus),
                longdesk("plan", corpus, "--json"),
                longdesk("models", "verify", stub.url),
            ]
            session = runs[0].answer["session"]
            runs += [longdesk("sessions", "show", session), longdesk("sessions", "export", session, "--format", "json")]
            said += [run.out + run.err for run in runs]
            assert {headers.get("authorization") for _, headers, _ in stub.asked} == {f"Bearer {KEY}"}
    assert any("no such user" in each for each in said), "the error itself is shown"
    assert not any(KEY in each for each in said)
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert files and not any(KEY.encode() in path.read_bytes() for path in files)


@pytest.mark.slow
def test_the_command_line_says_what_is_wrong_with_a_server(tmp_path: Path, corpus: Path) -> None:
    longdesk = CommandLine(tmp_path / "home", "http://127.0.0.1:1")
    refused = longdesk("ask", corpus, "-q", "What?")
    assert refused.code == 1 and "Nobody listens at 127.0.0.1:1. Start the server" in refused.err
    with serving(stubs.hosted()) as stub:
        several = longdesk("ask", corpus, "-q", "What?", "--model", stub.url)
        assert several.code == 2 and "several models: meta/scout, meta/maverick" in several.err
        one = longdesk("ask", corpus, "-q", "What?", "--model", f"{stub.url}#scout", "--json")
        assert one.code == 0 and one.answer["text"] == "So it is."
        assert one.answer["receipt"]["server"]["reasoning"] == "Hm, let me see."
        counted = longdesk("count", corpus, "--model", f"{stub.url}#scout")
        assert counted.out.count("~") > 4 and "no call that counts" in counted.out
    with serving(Stub({"/v1/models": "<html>Hello</html>"})) as page:
        refused = longdesk("plan", corpus, "--model", page.url)
        assert refused.code == 4 and "is no API of a language model" in refused.err
    secret = longdesk("ask", corpus, "-q", "What?", "--model", f"http://me:{KEY}@127.0.0.1:1")
    assert secret.code == 2 and KEY not in secret.err


@pytest.mark.slow
def test_a_plan_says_when_a_server_has_room(tmp_path: Path, corpus: Path) -> None:
    longdesk = CommandLine(tmp_path / "home", "")
    for how, words, code in (
        ({}, "It fits now.", 0),
        ({"usage": 0.9, "running": 3}, "It fits when 1 other is done.", 0),
        ({"usage": 0.9, "running": 3, "waiting": 2}, "It fits when 3 others are done.", 0),
    ):
        with serving(stubs.vllm(**how)) as stub:  # type: ignore[arg-type]
            planned = longdesk("plan", corpus, "--model", stub.url)
            assert planned.code == code and words in planned.out and "KV cache 10,000 tokens" in planned.out
    with serving(stubs.vllm()) as stub:
        never = longdesk("plan", corpus, "--model", stub.url, "--reply", "12000", "--json")
        assert never.code == 3 and json.loads(never.out)["capacity"]["total"] == 10_000
        assert "It never fits" in longdesk("plan", corpus, "--model", stub.url, "--reply", "12000").out


def test_what_needs_a_file_says_so_of_a_server(new_desk: NewDesk) -> None:
    with serving(stubs.vllm()) as stub:
        desk = new_desk(stub.url)
        with pytest.raises(UsageError, match="is a server: this needs a model's file"):
            desk.planner()
        assert desk.window() == 8192 and desk.plan_for(None, desk.settings.wanted).window == 8192
        assert list(desk.learn()) == [] and desk.save() is None
        notices = [event for event in heard(desk, "What?") if isinstance(event, Notice)]
        assert notices == []
        desk.close()
