"""`serve` as a command: what it takes, what it refuses, how it begins and ends."""

import signal
import socket
from pathlib import Path

import pytest

from storage.store import Store
from tests.command_line import CommandLine
from tests.patience import PATIENCE_S
from tests.serving import TOKEN, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def longdesk(tmp_path: Path, llama_gguf: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", llama_gguf, {"LONGDESK_TOKEN": TOKEN})


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "README.md").write_text("The bridge at Ulm is 42 metres long.\n")
    return folder


def test_what_cannot_be_served(longdesk: CommandLine, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, code, said in (
        ((), 2, "nothing to serve"),
        ((tmp_path / "nowhere",), 2, "nowhere"),
        ((tmp_path / "empty",), 4, "no files"),
        (("--session", "nobodys"), 2, "no session nobodys"),
        ((corpus, "--session", "x", "--system", "Be brief."), 2, "Leave --system out"),
        (("-", "--mcp", "stdio"), 2, "Standard input"),
        ((corpus, "--mcp", "smoke"), 2, "smoke"),
        ((corpus, "--port", "70000"), 2, "70000"),
        ((corpus, "--host", "nowhere.invalid", "--port", "0"), 1, "Nothing can listen"),
        ((corpus, "--model", tmp_path / "no.gguf"), 4, "no.gguf"),
    ):
        run = longdesk("serve", *arguments)
        assert (run.code, run.out) == (code, "") and said in run.err, (arguments, run)


def test_a_port_that_is_taken(longdesk: CommandLine, corpus: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = longdesk("serve", corpus, "--port", taken.getsockname()[1])
    assert run.code == 1 and "choose another --port" in run.err.lower()


def test_a_session_is_served_and_goes_on(longdesk: CommandLine, corpus: Path) -> None:
    begun = longdesk("ask", corpus, "-q", "How long?", "--max-tokens", 4, "--json").answer
    with serving(longdesk, "--session", begun["session"], "--max-tokens", 4) as server:
        said = [{"role": "user", "content": "How long?"}, {"role": "assistant", "content": begun["text"]}]
        body = {"model": "longdesk", "messages": [*said, {"role": "user", "content": "And wide?"}]}
        with server.http() as http:
            answer = http.post("/v1/chat/completions", json=body).json()
    told = answer["choices"][0]["message"]["longdesk"]
    assert told["session"] == begun["session"]
    assert told["reused_tokens"] >= begun["prompt_tokens"] + begun["reply_tokens"] - 1  # also after a restart
    with Store(longdesk.home) as store:
        assert [turn.question for turn in store.turns.of(begun["session"])] == ["How long?", "And wide?"]


def test_a_corpus_that_does_not_fit_is_said_at_the_start_and_can_be_asked_in_parts(
    longdesk: CommandLine, corpus: Path
) -> None:
    (corpus / "long.txt").write_text("word " * 9_000)
    with serving(longdesk, corpus, "--max-tokens", 4) as server, server.http() as http:
        assert any("will be refused" in line for line in server.said)
        body = {"model": "longdesk", "messages": [{"role": "user", "content": "How long?"}]}
        assert http.post("/v1/chat/completions", json=body).json()["error"]["code"] == "context_length_exceeded"
        part = http.post("/v1/chat/completions", json={**body, "longdesk": {"only": ["README.md"]}})
        assert part.status_code == 200 and part.json()["usage"]["prompt_tokens"] < 200


def test_it_says_where_the_token_is_and_not_what_it_is(longdesk: CommandLine, corpus: Path) -> None:
    own = CommandLine(longdesk.home, longdesk.model, {"LONGDESK_TOKEN": ""})
    with serving(own, corpus) as server:
        token = (longdesk.home / "serve-token").read_text().strip()
        said = "".join(server.said)
        assert "serve-token" in said and token not in said
        with server.http(token) as http:
            assert http.get("/v1/models").status_code == 200


def test_others_are_warned_of(longdesk: CommandLine, corpus: Path) -> None:
    with serving(longdesk, corpus, "--host", "0.0.0.0") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        with server.http() as http:
            assert http.get(f"{url}/v1/models").status_code == 200
            assert http.get(f"{url}/v1/models", headers={"Host": "desk.example"}).status_code == 421
    assert any("not encrypted" in line for line in server.said)


def test_ctrl_c_ends_it_and_keeps_what_was_written(longdesk: CommandLine, corpus: Path) -> None:
    body = {"model": "longdesk", "messages": [{"role": "user", "content": "How long?"}], "stream": True}
    with serving(longdesk, corpus, "--max-tokens", 4_000) as server, server.http() as http:
        with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            lines = answer.iter_lines()
            assert any('"content": "' in line and '"content": ""' not in line for line in lines)
            server.process.send_signal(signal.SIGINT)
            rest = list(lines)
        assert server.process.wait(PATIENCE_S) == 0 and rest[-2:] == ["data: [DONE]", ""]
    with Store(longdesk.home) as store:
        [session] = store.sessions.list()
        [turn] = store.turns.of(session.id)
    assert turn.stop == "cancelled" and turn.text
