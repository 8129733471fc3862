"""How the page comes up in a browser: its address has a token, which no other user of the machine is to see."""

import io
import socket
import stat
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Any

import pytest

from app.cli import page
from app.open_browser import open_when_up


@pytest.fixture
def listening() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_the_browser_is_given_a_file_that_leads_there_for_a_while(
    tmp_path: Path, listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def look(url: str) -> bool:
        path = Path(url.removeprefix("file://"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.parent == tmp_path
        seen.append(path.read_text())
        return True

    monkeypatch.setattr(webbrowser, "open", look)
    (tmp_path / "open-page.html").write_text("left behind")
    assert open_when_up(f"{listening}/?token=a&b", tmp_path, kept_s=0)
    assert f'url={listening}/?token=a&amp;b"' in seen[0] and list(tmp_path.iterdir()) == []


def test_an_address_without_a_token_is_opened_as_it_is(
    tmp_path: Path, listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: seen.append(url) or True)
    assert open_when_up(listening, tmp_path) and seen == [listening] and list(tmp_path.iterdir()) == []


def test_where_nothing_comes_up_nothing_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail(url))
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/?token=a"
    assert not open_when_up(url, tmp_path, patience_s=0.01) and list(tmp_path.iterdir()) == []


def test_the_address_is_no_argument_of_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = io.StringIO()
    monkeypatch.setattr(given, "close", lambda: None)

    class Started:
        stdin = given

        def __init__(self, command: list[str], **_: object) -> None:
            assert command[:3] == [sys.executable, "-m", "app.open_browser"] and "token" not in " ".join(command)

    monkeypatch.setattr(subprocess, "Popen", Started)
    page._open_browser(tmp_path, "http://127.0.0.1:1/?token=secret")
    assert given.getvalue() == "http://127.0.0.1:1/?token=secret"
