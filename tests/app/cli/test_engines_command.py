"""`longdesk engines`: engines over HTTP by name, tried, and their keys, which are nowhere but where they were put."""

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import LONGDESK, CommandLine, Run
from tests.file_keyring import variables
from tests.hosted_stub import LISTED, MODEL, HostedStub, self_signed, serving

KEY = "sk-or-v1-7777marked7777"


@pytest.fixture
def longdesk(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", "starter", variables(tmp_path / "ring.json") | {"NO_PROXY": "*"})


@pytest.fixture
def stub() -> Iterator[HostedStub]:
    with serving(HostedStub(key=KEY)) as stub:
        yield stub


def refusal(run: Run, code: int = 2) -> str:
    assert run.code == code and run.out == "", (run.code, run.out, run.err)
    assert KEY not in run.err
    return run.err


def add(longdesk: CommandLine, name: str, url: str, *options: str) -> Run:
    done = longdesk("engines", "add", name, url, *options, "--json")
    assert done.code == 0, done.err
    return done


@pytest.mark.slow
def test_engines_are_added_listed_changed_and_removed(longdesk: CommandLine) -> None:
    assert "No engine has a name yet" in longdesk("engines", "list").out
    prices = ("--price-input", "0.15", "--price-output", "0.6", "--window", "128K")
    added = add(longdesk, "office", "http://gpu-box:8000/v1/#Scout", "--key-env", "OFFICE_KEY", *prices).document
    assert added == {
        "name": "office", "url": "http://gpu-box:8000/v1", "model": "Scout", "key_source": "env:OFFICE_KEY",
        "prices": {"input": 0.15, "cached": None, "output": 0.6, "published": False}, "window": 131_072,
        "ca_file": None,
    }  # fmt: skip
    assert longdesk("engines", "list", "--json").document == {"engines": [added]}
    assert "already" in refusal(longdesk("engines", "add", "office", "http://other"))
    add(longdesk, "office", "http://other", "--replace")
    assert longdesk("engines", "list").out == "office  http://other  no key\n"
    assert longdesk("engines", "remove", "office", "--json").document == {"removed": "office"}
    assert "No engine is called office." in refusal(longdesk("engines", "remove", "office"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("office", "gpu-box:8000"), "no address of a server"),
        (("office", f"http://me:{KEY}@gpu-box"), "holds more than host, port and path"),
        (("office", f"https://gpu-box/v1?api_key={KEY}"), "holds more than host, port and path"),
        (("scout", "http://gpu-box"), "name of a model already"),
        (("office", "http://gpu-box", "--key-env", KEY), "where its key comes from"),
        (("office", "http://gpu-box", "--key-env", "A", "--keyring"), "--key-env or --keyring"),
        (("office", "http://gpu-box", "--price-input", "1"), "both ways"),
    ],
)
def test_what_cannot_be_added_is_said(longdesk: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    assert said in refusal(longdesk("engines", "add", *arguments))
    assert not (longdesk.home / "config.toml").exists()


@pytest.mark.slow
def test_a_key_is_kept_forgotten_and_never_echoed(longdesk: CommandLine, tmp_path: Path) -> None:
    add(longdesk, "office", "https://gpu-box:8443/v1")
    assert "key is empty" in refusal(longdesk("engines", "key", "office", stdin="\n"))
    kept = longdesk("engines", "key", "office", "--json", stdin=f"{KEY}\n")
    assert kept.document == {"name": "office", "origin": "https://gpu-box:8443", "key": "kept"}
    assert KEY in (tmp_path / "ring.json").read_text()
    assert longdesk("engines", "list", "--json").document["engines"][0]["key_source"] == "keyring"
    assert longdesk("engines", "key", "office", "--forget", "--json").document["key"] == "forgotten"
    assert longdesk("engines", "key", "office", "--forget", "--json").document["key"] is None
    assert KEY not in (tmp_path / "ring.json").read_text()
    assert KEY in typed(longdesk, "engines", "key", "office")[1] and KEY in (tmp_path / "ring.json").read_text()
    longdesk("engines", "remove", "office")
    assert KEY not in (tmp_path / "ring.json").read_text()


def typed(longdesk: CommandLine, *arguments: str) -> tuple[str, str]:
    """What a terminal shows while the key is typed, and what was typed."""
    outside, inside = pty.openpty()
    process = subprocess.Popen(
        [LONGDESK, *arguments],
        env=longdesk.environment,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    shown = b""
    while b"key of office" not in shown:
        shown += os.read(outside, 1024)
    os.write(outside, f"{KEY}\n".encode())
    while True:
        try:
            piece = os.read(outside, 1024)
        except OSError:  # the terminal is closed: it has ended
            break
        if not piece:
            break
        shown += piece
    assert process.wait() == 0 and KEY.encode() not in shown and b"keeps the key" in shown, shown
    os.close(outside)
    return shown.decode(), KEY


@pytest.mark.slow
def test_without_a_keyring_the_variable_is_named(longdesk: CommandLine) -> None:
    bare = CommandLine(longdesk.home, "starter", {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"})
    add(bare, "office", "https://gpu-box", "--keyring")
    told = refusal(bare("engines", "key", "office", stdin=KEY))
    assert "no keyring on this machine" in told and "add office https://gpu-box --key-env VARIABLE --replace" in told
    assert bare("engines", "remove", "office").code == 0


@pytest.mark.slow
def test_an_engine_says_what_it_is(longdesk: CommandLine, stub: HostedStub) -> None:
    add(longdesk, "router", stub.url, "--keyring")
    assert "Enter it" in refusal(longdesk("engines", "test", "router"))
    longdesk("engines", "key", "router", stdin=KEY)
    found = longdesk("engines", "test", "router", "--json")
    assert found.code == 0, found.err
    told = found.document
    assert (told["name"], told["model"], told["models"], told["window"]) == ("router", MODEL, [MODEL], 327_680)
    assert told["sees"] and not told["counts_exactly"] and told["how_counted"] and told["capacity"] is None
    assert told["prices"] == {"input": 0.08, "cached": 0.02, "output": 0.3, "published": True}
    assert (
        "$0.080 ($0.020 from its cache) a million tokens sent, $0.30 written, as it says"
        in longdesk("engines", "test", "router").out
    )
    assert set(stub.authorizations) == {f"Bearer {KEY}"}
    add(longdesk, "router", stub.url, "--keyring", "--replace", "--price-input", "1", "--price-output", "2")
    entered = longdesk("engines", "test", "router", "--json").document["prices"]
    assert entered == {"input": 1.0, "cached": None, "output": 2.0, "published": False}


@pytest.mark.slow
def test_what_is_wrong_with_an_engine_is_a_sentence(longdesk: CommandLine, stub: HostedStub, tmp_path: Path) -> None:
    wrong = {**longdesk.variables, "WRONG": KEY[::-1]}
    longdesk = CommandLine(longdesk.home, "starter", wrong)

    def told(url: str, *options: str, code: int) -> str:
        add(longdesk, "office", url, "--replace", *options)
        run = longdesk("engines", "test", "office")
        assert KEY[::-1] not in run.err
        return refusal(run, code)

    assert "asks for a key" in told(stub.url, code=1)
    wrong_key = told(stub.url, "--key-env", "WRONG", code=1)
    assert "does not take the key" in wrong_key and "WRONG" in wrong_key
    assert "Nobody listens at 127.0.0.1:9" in told("http://127.0.0.1:9", code=1)
    with serving(HostedStub(models=[LISTED, {**LISTED, "id": "other/model"}])) as several:
        assert "has no model Mistral" in told(f"{several.url}#Mistral", code=2)
        assert f"several models: {MODEL}, other/model" in told(several.url, code=2)
    with serving(HostedStub(models=None)) as page:
        assert "is no API" in told(page.url, code=4)
    certificate = self_signed(tmp_path)
    with serving(HostedStub(), certificate=certificate) as secure:
        assert "certificate" in told(secure.url, code=1)
        assert "https" in told(secure.url.replace("https:", "http:"), code=1)
        add(longdesk, "office", secure.url, "--replace", "--ca-file", str(certificate))
        assert longdesk("engines", "test", "office").code == 0
    assert "certificates" in told("https://127.0.0.1:9", "--ca-file", str(tmp_path / "none.pem"), code=2)


def test_names_are_offered_where_a_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.shell_completion import ShellComplete

    from app.cli import cli

    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path))
    (tmp_path / "config.toml").write_text("[engines.scuola]\nurl = 'http://gpu-box'\n")
    for command in ("ask", "plan", "count", "summarize", "reading", "serve", "up"):
        offered = ShellComplete(cli, {}, "longdesk", "_LONGDESK_COMPLETE").get_completions([command, "--model"], "sc")
        values = [each.value for each in offered]
        assert values[0] == "scuola" and "scout" in values[1] and values[-1] == "sc", values  # a file may be meant
