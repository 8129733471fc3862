"""Signing in with an OpenID provider: one of this test's own, on this machine, and Streamlit's own way through it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from re import search
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from tests.browser.server import Server, free_port
from tests.patience import PATIENCE_S

jwt = pytest.importorskip("joserfc.jwt", reason="Authlib is not installed (the extra named sign-in)")

pytestmark = pytest.mark.slow  # starts the page
PAGE = {"Accept": "text/html"}


@contextmanager
def provider(emails: list[str]) -> Iterator[str]:
    """Says of everybody who comes that they are the last of these."""
    from joserfc.jwk import RSAKey

    key = RSAKey.generate_key(2048, {"kid": "one"})
    nonces: list[str] = []

    class Provider(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, asked = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
            if path == "/authorize":
                nonces.append(asked["nonce"][0])
                self.send_response(302)
                back = urlencode({"code": "a-code", "state": asked["state"][0]})
                self.send_header("Location", f"{asked['redirect_uri'][0]}?{back}")
                self.end_headers()
            elif path == "/keys":
                self.say({"keys": [key.as_dict(private=False)]})
            else:
                ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
                more = {"id_token_signing_alg_values_supported": ["RS256"]}
                self.say({"issuer": url, **more, **{name: f"{url}/{end}" for name, end in ends.items()}})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            now = int(time.time())
            claims = {"iss": url, "aud": "longdesk", "sub": "1", "iat": now, "exp": now + 600, "nonce": nonces[-1]}
            token = jwt.encode({"alg": "RS256", "kid": "one"}, {**claims, "email": emails[-1]}, key)
            self.say({"access_token": "t", "token_type": "Bearer", "expires_in": 600, "id_token": token})

        def say(self, document: object) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True).start()
    yield url
    server.shutdown()
    server.server_close()


def test_members_sign_in_and_others_do_not(tmp_path: Path) -> None:
    emails, port = ["me@desk.example"], free_port()
    with provider(emails) as url:
        server = Server(tmp_path / "home", "--host", "0.0.0.0", asks=False, variables={"NO_PROXY": "127.0.0.1"})
        secrets = {
            "redirect_uri": f"http://127.0.0.1:{port}/oauth2callback",
            "cookie_secret": "a secret that is long enough for this",
            "client_id": "longdesk",
            "client_secret": "another secret",
            "server_metadata_url": f"{url}/.well-known/openid-configuration",
        }
        lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in secrets.items())
        file = tmp_path / "home" / "secrets.toml"
        file.write_text(f'[auth]\n{lines}[longdesk]\nmembers = ["me@desk.example"]\n')
        file.chmod(0o600)
        server.start(port)
        try:
            with httpx2.Client(base_url=server.url, timeout=PATIENCE_S, trust_env=False, follow_redirects=True) as http:
                answer = http.get("/", headers=PAGE)
                begin = unescape(search(r'href="(/auth/login[^"]*)"', answer.text)[1])  # type: ignore[index]
                assert answer.status_code == 401
                answer = http.get(begin, headers=PAGE)
                assert answer.status_code == 200 and "<title>Streamlit" in answer.text, answer.text
                http.get("/auth/logout")
                assert http.get("/", headers=PAGE).status_code == 401
                emails.append("other@desk.example")
                answer = http.get(begin, headers=PAGE)
                assert answer.status_code == 401 and "not let in" in answer.text
            forged = {"Cookie": '_streamlit_user={"email": "me@desk.example", "is_logged_in": true}'}
            assert httpx2.get(server.url, headers=forged, trust_env=False).status_code == 401
            assert "token=" not in server.log.read_text()
        finally:
            server.stop()
