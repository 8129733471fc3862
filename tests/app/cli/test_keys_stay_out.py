"""A key is where it was put, and nowhere else: after everything that could show it, it is looked for in every file of
the home, and in all that was printed and logged."""

import json
from pathlib import Path

import pytest

from tests.command_line import CommandLine, Run
from tests.file_keyring import variables
from tests.hosted_stub import HostedStub, self_signed, serving

KEY = "sk-or-v1-7777marked7777"
WRONG = "sk-or-v1-8888marked8888"
MARKS = (b"7777marked7777", b"8888marked8888")


def found_in(home: Path) -> list[str]:
    """The files that hold one of the keys."""
    files = [path for path in home.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files) and any(path.name == "config.toml" for path in files)
    return [str(path) for path in files if any(mark in path.read_bytes() for mark in MARKS)]


def without_keys(run: Run) -> Run:
    assert not any(mark.decode() in run.out + run.err for mark in MARKS), run.err
    return run


@pytest.mark.slow
def test_a_key_is_in_no_file_of_the_home_and_in_no_output(tmp_path: Path) -> None:
    ring, corpus = tmp_path / "ring.json", tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a.txt").write_text("The dog is called Yrsa.\n")
    environment = variables(ring) | {"NO_PROXY": "*", "ROUTER_KEY": KEY, "WRONG_KEY": WRONG, "OPENAI_LOG": "debug"}
    longdesk = CommandLine(tmp_path / "home", "starter", environment)

    def run(*arguments: object, code: int = 0, stdin: str | None = None) -> Run:
        done = without_keys(longdesk(*arguments, stdin=stdin))
        assert done.code == code, (arguments, done.code, done.err)
        return done

    with serving(HostedStub(key=KEY, cached=400)) as stub:
        run("engines", "add", "router", stub.url, "--key-env", "ROUTER_KEY")
        run("engines", "add", "wrong", stub.url, "--key-env", "WRONG_KEY")
        run("engines", "add", "kept", stub.url)
        run("engines", "key", "kept", stdin=KEY)
        assert KEY in ring.read_text()
        run("engines", "test", "router", "--json")
        run("engines", "test", "kept")
        run("engines", "test", "wrong", code=1)
        asked = run("ask", corpus, "-q", "What is the dog called?", "--model", "router", "--json")
        session = asked.answer["session"]
        assert asked.answer["cost"]["total"] > 0 and asked.answer["receipt"]["cost"] == asked.answer["cost"]
        run("ask", "--session", session, "-q", "And what else?", "--model", "kept")
        assert set(stub.authorizations[:2]) <= {f"Bearer {KEY}"} and len(stub.asked) == 2
        run("ask", "--session", session, "-q", "Why?", "--model", "wrong", code=1)
        stub.breaks = "refuses"
        broken = run("ask", "--session", session, "-q", "Why?", "--model", "router", "--json", code=1)
        assert "failed with 500" in broken.answer["error"]
        stub.breaks = "midway"
        run("ask", "--session", session, "-q", "Why?", "--model", "router", code=1)
        url = stub.url
    run("ask", "--session", session, "-q", "Why?", "--model", "router", code=1)  # nobody listens any more
    with serving(HostedStub(), certificate=self_signed(tmp_path)) as secure:
        run("engines", "add", "router", secure.url, "--key-env", "ROUTER_KEY", "--replace")
        run("engines", "test", "router", code=1)
    for address in (url.replace("//", f"//me:{KEY}@"), f"{url}?api_key={KEY}", f"{url}?key={KEY}#model"):
        run("ask", corpus, "-q", "Why?", "--model", address, code=2)
        run("count", address, code=2)
        run("engines", "test", address, code=2)
    shown = run("sessions", "show", session, "--json").document
    assert shown["cost"]["turns"] >= 2 and shown["cost"]["total"] > asked.answer["cost"]["total"]
    for layout in ("md", "json", "html"):
        run("sessions", "export", session, "--format", layout)
    run("sessions", "search", "dog")
    run("sessions", "list")
    run("engines", "list", "--json")
    assert found_in(longdesk.home) == []
    assert json.loads(ring.read_text()) != {}
    run("engines", "remove", "kept")
    assert json.loads(ring.read_text()) == {}
