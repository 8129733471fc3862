"""`longdesk up` as a process, asked as strangers ask: with other names, from other pages, without a key."""

import os
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.app.door.test_setting import PASSWORD, certificate
from tests.browser.server import Server, free_port
from tests.command_line import CommandLine
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.slow  # each starts the page


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("up") / "home", asks=False)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def http(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=PATIENCE_S, trust_env=False) as client:
        yield client


def stream(server: Server, **headers: str) -> int:
    """The status that the page's websocket answers with; 101 where it opens."""
    where = server.url.removeprefix("http://")
    sent = {"Host": where, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"} | headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    host, _, port = where.partition(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
        request = f"GET /_stcore/stream HTTP/1.1\r\n{lines}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        connection.sendall(request.encode())
        return int(connection.recv(64).split()[1])


def test_strangers_are_refused_by_the_whole_of_the_page(server: Server, http: httpx2.Client) -> None:
    rebound = {"Host": "evil.test", "Origin": "http://evil.test"}
    assert http.get("/_stcore/health").status_code == 200
    for path in ("/", "/_stcore/health", "/_stcore/host-config", "/static/x.js", "/folder/x", "/component/a/b"):
        assert http.get(path, headers=rebound).status_code == 421
        assert http.get(path, headers={"Origin": "http://evil.test"}).status_code == 403
        assert path == "/_stcore/health" or http.get(path).status_code == 401
    assert stream(server, Origin=server.url) == 403 and stream(server) == 403
    assert stream(server, **rebound) == 403 and stream(server, Origin="http://evil.test") == 403


def test_with_the_token_the_page_is_there_and_still_only_for_itself(server: Server, http: httpx2.Client) -> None:
    assert "url=/" in http.get(server.address()).text
    page = http.get("/")
    assert page.status_code == 200 and "<title>Streamlit" in page.text
    assert "sha256-" in page.headers["content-security-policy"]
    cookie = f"longdesk-{server.url.rpartition(':')[2]}={next(iter(http.cookies.jar)).value}"
    assert stream(server, Origin=server.url, Cookie=cookie) == 101
    for origin in ("http://evil.test", "null", "http://127.0.0.1:1"):
        assert stream(server, Origin=origin, Cookie=cookie) == 403
    server.stop()
    server.start(int(server.url.rpartition(":")[2]))  # tabs that are open go on
    assert http.get("/").status_code == 200 and stream(server, Origin=server.url, Cookie=cookie) == 101


def test_another_user_of_the_machine_finds_no_way_in(server: Server, http: httpx2.Client) -> None:
    """The token is in no file and no process's arguments that others can read."""
    token = (server.home / "page-token").read_text().strip()
    assert stat.S_IMODE((server.home / "page-token").stat().st_mode) == 0o600
    arguments = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert token not in arguments and http.get("/").status_code == 401
    if os.getuid() == 0:
        reading = subprocess.run(["cat", server.home / "page-token"], user=65534, capture_output=True)
        assert reading.returncode and token.encode() not in reading.stdout


def test_no_name_is_looked_up_whoever_asks(server: Server, http: httpx2.Client) -> None:
    """Streamlit asks on the internet for this machine's address where an origin is not its own. Whatever did would be
    refused and written down: see tests.offline."""
    log = Path(os.environ["LONGDESK_TESTS_OFFLINE"])
    before = log.read_text()
    http.get(server.address())
    for origin in ("http://evil.test", "http://192.168.1.4:8501", "null", server.url):
        http.get("/", headers={"Origin": origin})
        http.put("/_stcore/upload_file/a/b", headers={"Origin": origin})
        stream(server, Origin=origin)
    assert log.read_text() == before


def test_beyond_the_loopback_with_a_password_and_tls(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    cert, key = certificate(tmp_path)
    options = ("--host", "0.0.0.0", "--password-file", tmp_path / "password", "--tls-cert", cert, "--tls-key", key)
    server = Server(tmp_path / "home", *map(str, options), "--allow", "desk.example", asks=False)
    server.start()
    try:
        trusting = ssl.create_default_context(cafile=str(cert))
        with httpx2.Client(base_url=server.url, verify=trusting, timeout=PATIENCE_S, trust_env=False) as http:
            assert http.get("/", headers={"Accept": "text/html"}).status_code == 401
            own = {"Origin": server.url}
            assert http.post("/door/enter", data={"password": "wrong"}, headers=own).status_code == 401
            answer = http.post("/door/enter", data={"password": PASSWORD}, headers=own)
            assert answer.status_code == 303 and "Secure" in answer.headers["set-cookie"]
            assert http.get("/").status_code == 200
            assert http.get("/", headers={"Host": "desk.example"}).status_code == 200
            assert http.get("/", headers={"Host": "evil.test"}).status_code == 421
        assert "token=" not in server.log.read_text() and PASSWORD not in server.log.read_text()
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "0.0.0.0"), "--password-file"),
        (("--host", "::"), "nothing would keep them out"),
        (("--tls-cert", __file__), "both --tls-cert and --tls-key"),
        (("--allow", "*.example"), "no name of a host"),
        (("--password-file", os.devnull), "10 characters"),
    ],
)
def test_what_would_let_everybody_in_is_refused(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    ended = CommandLine(tmp_path / "home", "starter")("up", *options, stdin="")
    assert ended.code == 2 and said in ended.err and not (tmp_path / "home").exists()


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", port := free_port())):
        ended = CommandLine(tmp_path / "home", "starter")("up", "--port", port, stdin="")
    assert ended.code == 1 and f"Port {port} is taken" in ended.err
