"""Tests reach nothing but this machine, and neither does any Python that they start."""

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.offline import FOLDER, offline
from tests.patience import PATIENCE_S

REACHING = {
    "a name": "import socket; socket.getaddrinfo('longdesk.example', 80)",
    "the old way": "import socket; socket.gethostbyname('longdesk.example')",
    "an address": "import socket; socket.create_connection(('203.0.113.7', 80), 1)",
    "a datagram's": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('203.0.113.7', 1))",
    "a datagram": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('203.0.113.7', 1))",
    "the newer kind": "import socket; socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
    "a page": "import urllib.request; urllib.request.urlopen('http://203.0.113.7/', timeout=1)",
    "in a loop": "import asyncio; asyncio.run(asyncio.open_connection('longdesk.example', 80))",
    "without a word": "import socket, contextlib\nwith contextlib.suppress(OSError): socket.gethostbyname('a.example')",
}


def run(code: str, log: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = offline({**os.environ, "LONGDESK_TESTS_OFFLINE": str(log), **more})
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=PATIENCE_S
    )


@pytest.mark.parametrize("code", REACHING.values(), ids=REACHING)
def test_a_child_that_reaches_out_fails_and_is_written_down(tmp_path: Path, code: str) -> None:
    ended = run(code, log := tmp_path / "log")
    assert (
        ended.returncode == ("suppress" not in code)
        and ("Tests make no network calls" in ended.stderr) == ended.returncode
    )
    assert "socket." in log.read_text() and "test_a_child_that_reaches_out" in log.read_text()


def test_this_machine_is_reached(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; [socket.create_connection((name, {port})) for name in ('127.0.0.1', 'localhost')]"
        assert run(code, log := tmp_path / "log").returncode == 0 and not log.exists()
        with socket.create_connection(("localhost", port)):
            pass


def test_a_name_that_nobody_has_fails_and_is_nothing_to_write_down(tmp_path: Path) -> None:
    assert run("import socket; socket.gethostbyname('nobody.invalid')", log := tmp_path / "log").returncode == 1
    assert not log.exists()


def test_the_tests_own_process_is_watched() -> None:
    with pytest.raises(OSError, match="no network calls"):
        urllib.request.urlopen("http://nobody.invalid/")
    with pytest.raises(OSError, match="no network calls"):
        socket.getaddrinfo("nobody.invalid", 80)


def test_a_path_of_the_test_s_own_keeps_the_watch(tmp_path: Path) -> None:
    path = offline({"PYTHONPATH": str(tmp_path)})["PYTHONPATH"]
    assert (
        path.split(os.pathsep) == [str(tmp_path), str(FOLDER)] and offline({"PYTHONPATH": path})["PYTHONPATH"] == path
    )
    assert offline({})["PYTHONPATH"] == str(FOLDER)
