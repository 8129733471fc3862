"""The command line over servers, by stubs of what they say (see tests.engine.remote.stubs): the contract of `ask`
`--json` where a server counts otherwise, windows that are assumed, and receipts that add up."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.answers.receipt_table import receipt_rows
from app.cli import cli
from tests.engine.remote import stubs
from tests.engine.remote.stubs import Stub, serving


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    for name in ("LONGDESK_MODEL", "LONGDESK_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "a.txt").write_text("The way it is told is the way it was. " * 20)
    return tmp_path


def run(*words: object, code: int | None = 0) -> str:
    result = CliRunner().invoke(cli, list(map(str, words)), standalone_mode=False)
    assert result.exception is None and result.return_value in (code, None), (result.exception, result.stderr)
    return result.stdout


def hosted(**usage: Any) -> Stub:
    listed = {"data": [{"id": "m", "context_length": 8192}]}
    return Stub({"/v1/models": listed, "/v1/chat/completions": stubs.chat(**usage)})


def vllm(**usage: Any) -> Stub:
    stub = stubs.vllm()
    stub.routes["/v1/chat/completions"] = stubs.chat(**usage)
    return stub


@pytest.mark.parametrize(
    ("stub", "n_more"),
    [(hosted(), 1), (hosted(prompt_tokens=4000), 1), (hosted(prompt_tokens=None), 0), (stubs.ollama(), 1),
     (stubs.sglang(), 1), (vllm(), 0), (vllm(prompt_tokens=4000), 1)],
    ids=["hosted", "more", "unsaid", "ollama", "sglang", "vllm", "vllm more"],
)  # fmt: skip
def test_the_last_prefill_is_all_of_the_prompt_by_whoever_counted_it(home: Path, stub: Stub, n_more: int) -> None:
    with serving(stub):
        said = run("ask", home / "a.txt", "-q", "What?", "--model", stub.url, "--json")
    events = [json.loads(line) for line in said.splitlines()]
    last, answer = [each for each in events if each["event"] == "prefill"][-1], events[-1]
    assert answer["event"] == "answer" and last["done"] == last["total"] == answer["prompt_tokens"]
    assert last["reused"] <= last["total"] - 1
    after_text = events[[each["event"] for each in events].index("text") :]
    assert sum(each["event"] == "prefill" for each in after_text) == n_more


def test_a_receipt_adds_up_where_a_server_counts_otherwise(home: Path) -> None:
    with serving(hosted(prompt_tokens=500, prompt_tokens_details={"cached_tokens": 100})) as stub:
        said = run("ask", home / "a.txt", "-q", "What?", "--model", stub.url, "--json")
        receipt = json.loads(said.splitlines()[-1])["receipt"]
    assert (receipt["read_tokens"], receipt["reused_tokens"]) == (400, 100)
    assert receipt["server"]["differs_by"] == 500 - receipt["server"]["counted_tokens"]
    rows = dict(receipt_rows(receipt))
    assert rows["Prompt"][0] == "500 tokens: 400 read, 100 from the KV cache"
    assert rows["Prompt"][1].endswith("as counted before")


@pytest.mark.parametrize(("told", "assumed"), [({}, True), ({"context_length": 4096}, False)])
def test_a_window_that_nobody_said_is_said_to_be_assumed(told: dict[str, int], assumed: bool) -> None:
    with serving(Stub({"/v1/models": {"data": [{"id": "m", **told}]}})) as stub:
        found, words = json.loads(run("engines", "test", stub.url, "--json")), run("engines", "test", stub.url)
    assert found["window_is_assumed"] == assumed
    assert ("131,072 tokens are assumed" in words) == assumed and ("4,096 tokens" in words) != assumed
