"""Who gets through the gate: an application behind it counts what it sees."""

import re
from collections.abc import Callable
from html import unescape

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from app.door.gate import ENTER, LEAVE, Gate
from app.door.keys import Tries, hash_password
from app.door.setting import Door

TOKEN = "the-token-of-this-home"
PASSWORD = "correct horse battery"
HASHED = hash_password(PASSWORD)
OWN = "http://127.0.0.1:8501"
FORM = {"Origin": OWN, "Content-Type": "application/x-www-form-urlencoded"}
PAGE = {"Accept": "text/html,application/xhtml+xml"}
STREAM = "ws://127.0.0.1:8501/_stcore/stream"
LOCKED = "Longdesk is locked"


class Behind:
    """Says yes to all, and keeps the paths that it saw."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope["path"])
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
            return
        headers = [(b"content-type", b"text/plain"), (b"content-security-policy", b"default-src *")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"behind"})


@pytest.fixture
def behind() -> Behind:
    return Behind()


Browse = Callable[..., TestClient]


@pytest.fixture
def browse(behind: Behind) -> Browse:
    """A browser that has not been here yet. door: see Door."""

    def new(url: str = OWN, *, tries: Tries | None = None, identify: object = None, **door: object) -> TestClient:
        made = Door(**door)  # type: ignore[arg-type]
        gate = Gate(behind, made, TOKEN, identify=identify, sign_in=lambda: "/auth/login?provider=x", tries=tries)  # type: ignore[arg-type]
        return TestClient(gate, base_url=url, follow_redirects=False)

    return new


def let_in(client: TestClient) -> TestClient:
    assert client.get(f"/?token={TOKEN}").status_code == 200
    return client


def test_the_token_is_shown_once_and_a_cookie_remembers_it(browse: Browse, behind: Behind) -> None:
    client = browse()
    answer = client.get(f"/ask?id=3&token={TOKEN}&q=a%26b", headers=PAGE)
    assert answer.status_code == 200 and behind.seen == []
    assert re.search(r'http-equiv="refresh" content="0; url=([^"]*)"', answer.text)[1] == "/ask?id=3&amp;q=a%26b"  # type: ignore[index]
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("longdesk-8501=") and "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert TOKEN not in cookie and "Secure" not in cookie
    assert client.get("/ask?id=3").text == "behind"
    again = browse()
    again.cookies.set("longdesk-8501", client.cookies["longdesk-8501"])
    assert again.get("/").text == "behind"  # another start of the server


def test_without_it_a_plain_page_says_how_to_get_in(browse: Browse, behind: Behind) -> None:
    answer = browse().get("/ask", headers=PAGE)
    assert answer.status_code == 401 and LOCKED in answer.text and "refresh" not in answer.text
    assert "longdesk up" in answer.text and behind.seen == []
    assert not re.search(r"(?:src|href)=.(?!data:)", answer.text)


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%ff%fe"])
def test_a_wrong_token_lets_nobody_in(browse: Browse, behind: Behind, token: str) -> None:
    answer = browse().get(f"/?token={token}", headers=PAGE)
    assert answer.status_code == 401 and "set-cookie" not in answer.headers and behind.seen == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/static/js/index.js"), ("POST", "/folder/abc"), ("PUT", "/_stcore/upload_file/1/2")]
    + [("GET", "/media/a.png"), ("POST", "/_stcore/agent/interact"), ("GET", "/_stcore/host-config"), ("DELETE", "/x")]
    + [("POST", "/_stcore/health"), ("GET", "/_stcore/health/"), ("GET", "/_stcore/healthx"), ("OPTIONS", "/")]
    + [("GET", "//_stcore/health"), ("GET", "/auth/login"), ("GET", "/oauth2callback"), ("POST", "/?token=" + TOKEN)],
)
def test_without_a_key_nothing_gets_through(browse: Browse, behind: Behind, method: str, path: str) -> None:
    assert browse().request(method, path).status_code == 401 and behind.seen == []


def test_whether_it_runs_is_said_to_all_who_ask_it_by_its_name(browse: Browse) -> None:
    assert browse().get("/_stcore/health").text == "behind"
    assert browse("http://evil.test:8501").get("/_stcore/health").status_code == 421


@pytest.mark.parametrize("host", ["evil.test:8501", "127.0.0.1.evil.test", "192.168.1.4:8501", "", "a@127.0.0.1"])
def test_a_rebound_name_is_refused_whatever_it_brings(browse: Browse, behind: Behind, host: str) -> None:
    client = let_in(browse())
    for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}):
        assert client.get("/", headers=headers).status_code == 421
        assert client.get(f"/?token={TOKEN}", headers=headers).status_code == 421
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(STREAM, headers={"Host": host}):
        pass
    assert behind.seen == []


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.test"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:9999"}]
    + [{"Origin": "http://localhost:8501"}, {"Origin": "https://127.0.0.1:8501.evil.test"}]
    + [{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}]
    + [{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}]
    + [{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}]
    + [{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}],
)
def test_a_foreign_page_is_refused_even_with_the_cookie(
    browse: Browse, behind: Behind, headers: dict[str, str]
) -> None:
    client = let_in(browse())
    assert client.get("/media/a.png", headers=headers).status_code == 403
    assert client.post("/folder/x", headers=headers).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(STREAM, headers=headers):
        pass
    assert behind.seen == []


def test_a_link_that_leads_here_is_followed_and_a_form_is_not(browse: Browse, behind: Behind) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", **PAGE}
    stranger = browse()
    answer = stranger.get("/ask?id=3", headers=headers)  # browsers do not send the cookie along
    assert answer.status_code == 401 and "url=/ask?id=3" in answer.text
    assert LOCKED in stranger.get("/ask?id=3", headers={**headers, "Sec-Fetch-Site": "same-origin"}).text  # and no loop
    assert let_in(stranger).get("/", headers=headers).status_code == 200
    assert stranger.post("/", headers=headers).status_code == 403


def test_a_page_s_own_websocket_gets_through_and_one_without_a_key_does_not(browse: Browse, behind: Behind) -> None:
    client = browse()
    for headers in ({}, {"Origin": OWN}):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(STREAM, headers=headers):
            pass
    assert behind.seen == []
    with let_in(client).websocket_connect(STREAM, headers={"Origin": OWN}):
        pass
    assert behind.seen == ["/_stcore/stream"]


def test_every_response_has_the_policy_and_none_of_another(browse: Browse) -> None:
    client = let_in(browse())
    answers = [client.get("/"), browse().get("/"), browse().get("/", headers=PAGE), client.get(f"/?token={TOKEN}")]
    answers += [browse("http://evil.test").get("/"), client.get("/", headers={"Origin": "http://evil.test"})]
    for answer in answers:
        policy = dict(each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
        assert policy["img-src"] == "'self' data: blob:" and policy["form-action"] == policy["default-src"]
        assert policy["connect-src"] == "'self' ws://127.0.0.1:8501" or "evil" in str(answer.request.url)
        assert "evil" not in answer.headers["content-security-policy"]
        assert not re.search(r"'unsafe-(?:inline|eval)'|\*", policy["script-src"])
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] in ("no-referrer", "same-origin")


@pytest.mark.parametrize("path", ["//evil.test/x", "/\\evil.test", "/%5cevil.test", "///evil.test", "/%2f/evil.test"])
def test_the_way_on_never_leads_elsewhere(browse: Browse, path: str) -> None:
    answer = browse().get(f"{path}?token={TOKEN}")
    to = unescape(re.search(r'url=([^"]*)"', answer.text)[1])  # type: ignore[index]
    assert to.startswith("/") and not to.startswith(("//", "/\\"))


def test_names_that_are_allowed_and_other_ports_of_theirs(browse: Browse) -> None:
    assert let_in(browse("https://desk.example", names=("desk.example",))).get("/").text == "behind"
    assert browse("https://desk.example").get("/").status_code == 421
    assert let_in(browse("http://192.168.1.4:8501", host="0.0.0.0")).get("/").text == "behind"


class TestPasswords:
    def enter(self, client: TestClient, password: str, **headers: str) -> int:
        return client.post(
            ENTER, data={"password": password, "to": "/ask?id=3"}, headers={**FORM, **headers}
        ).status_code

    def test_the_right_one_lets_in_and_leads_on(self, browse: Browse, behind: Behind) -> None:
        client = browse(password=HASHED)
        assert 'type="password"' in client.get("/ask?id=3", headers=PAGE).text and behind.seen == []
        answer = client.post(ENTER, data={"password": PASSWORD, "to": "/ask?id=3"}, headers=FORM)
        assert (answer.status_code, answer.headers["location"]) == (303, "/ask?id=3")
        assert client.get("/ask?id=3").text == "behind"

    def test_a_wrong_one_does_not_and_neither_does_the_token(self, browse: Browse, behind: Behind) -> None:
        client = browse(password=HASHED)
        assert self.enter(client, "wrong") == 401 and client.get(f"/?token={TOKEN}").status_code == 401
        assert not client.cookies and behind.seen == []

    def test_a_cookie_of_another_password_is_none(self, browse: Browse) -> None:
        client, other = browse(password=HASHED), browse(password=hash_password("another password"))
        assert self.enter(client, PASSWORD) == 303
        other.cookies.set("longdesk-8501", client.cookies["longdesk-8501"])
        assert other.get("/").status_code == 401

    def test_tries_are_counted(self, browse: Browse) -> None:
        now = [0.0]
        client = browse(password=HASHED, tries=Tries(lambda: now[0]))
        assert [self.enter(client, "wrong") for _ in range(Tries.MOST_HERE + 1)] == [401] * Tries.MOST_HERE + [429]
        assert self.enter(client, PASSWORD) == 429
        now[0] = 61.0
        assert self.enter(client, PASSWORD) == 303

    def test_a_foreign_form_enters_nothing(self, browse: Browse) -> None:
        client = browse(password=HASHED)
        assert self.enter(client, PASSWORD, Origin="http://evil.test") == 403
        assert self.enter(client, PASSWORD, Origin="null") == 403
        assert client.post(ENTER, data={"password": PASSWORD}).status_code == 400
        assert client.post(ENTER, content=b"x" * 10_000, headers=FORM).status_code == 400

    def test_it_is_left_again_and_over_tls_the_cookie_is_secure(self, browse: Browse) -> None:
        client = browse("https://127.0.0.1:8501", password=HASHED, certificate="c", key="k")
        answer = client.post(ENTER, data={"password": PASSWORD}, headers={**FORM, "Origin": "https://127.0.0.1:8501"})
        assert "Secure" in answer.headers["set-cookie"] and answer.headers["location"] == "/"
        assert client.get("/").text == "behind" and "wss://" in client.get("/").headers["content-security-policy"]
        assert client.get(LEAVE).status_code == 200 and client.get("/").status_code == 401

    def test_nothing_is_entered_where_a_token_is_asked_for(self, browse: Browse) -> None:
        assert self.enter(browse(), TOKEN) == 400


class TestSignIn:
    def test_one_of_the_members_gets_in_and_streamlit_s_own_paths_are_open(
        self, browse: Browse, behind: Behind
    ) -> None:
        who = {"me": "me@desk.example", "other": ""}
        client = browse(members=("me@desk.example",), identify=lambda cookies: who.get(cookies.get("user", "")))
        answer = client.get("/", headers=PAGE)
        assert answer.status_code == 401 and 'href="/auth/login?provider=x"' in answer.text
        for path in ("/auth/login?provider=x", "/oauth2callback?code=1&state=2", "/auth/logout"):
            assert client.get(path).text == "behind"
        client.cookies.set("user", "other")
        assert "not let in" in client.get("/", headers=PAGE).text and client.get(f"/?token={TOKEN}").status_code == 401
        client.cookies.set("user", "me")
        assert client.get("/").text == "behind"

    @pytest.mark.parametrize(
        ("user", "may"),
        [({"email": "Me@Desk.example"}, True), ({"email": "a@firm.example", "email_verified": True}, True)]
        + [({"email": "me@desk.example", "email_verified": False}, False), ({"email": "x@desk.example"}, False)]
        + [({"email": "me@desk.example", "is_logged_in": False}, False), ({}, False), ({"email": None}, False)]
        + [({"email": "a@evil@firm.example"}, False), ({"email": "@firm.example.evil.test"}, False)],
    )
    def test_who_is_a_member(self, user: dict[str, object], may: bool) -> None:
        door = Door(members=("me@desk.example", "@firm.example"))
        assert door.may_sign_in({"is_logged_in": True, **user}) is may
