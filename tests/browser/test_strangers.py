"""In a real browser: a page of a stranger's, and a name of a stranger's that leads here, find no way in; the page's own
features work under its policy. What is asked without a browser: tests/app/door/.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ARGUMENTS, find_chromium
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.patience import PATIENCE_S

# every way of a page's to reach another: what came of each, as far as it may know
_REACH = """async (to) => {
  const tried = (name, act) => Promise.race([act(), new Promise((done) => setTimeout(done, 3000, 'nothing'))])
    .then((found) => [name, String(found)], () => [name, 'failed']);
  const element = (tag, name) => () => new Promise((done) => {
    const made = Object.assign(document.createElement(tag), {[name]: to + '/static/favicon.png'});
    made.onload = () => done(tag === 'iframe' ? 'nothing' : 'loaded'); made.onerror = () => done('failed');
    document.body.append(made);
  });
  const socket = () => new Promise((done) => {
    const made = new WebSocket(to.replace('http', 'ws') + '/_stcore/stream');
    made.onopen = () => done('opened'); made.onerror = () => done('failed');
  });
  return Object.fromEntries(await Promise.all([
    tried('fetch', async () => (await fetch(to + '/_stcore/health', {credentials: 'include'})).status),
    tried('post', async () => (await fetch(to + '/folder/x', {method: 'POST', credentials: 'include'})).status),
    tried('opaque', async () => (await fetch(to, {mode: 'no-cors', credentials: 'include'})).type),
    tried('img', element('img', 'src')), tried('script', element('script', 'src')), tried('socket', socket),
  ]));
}"""


class _Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!DOCTYPE html><body>a stranger's page")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def stranger() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stranger)
    threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, llama_gguf: Path) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("strangers") / "home", "--model", str(llama_gguf), asks=False)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def context(browser: Any, server: Server) -> Iterator[Any]:
    """A browser that is let in."""
    made = browser.new_context()
    page = made.new_page()
    page.goto(server.address())
    page.wait_for_selector(".wordmark")
    yield made
    made.close()


def test_a_page_of_another_port_reaches_nothing_though_the_browser_is_let_in(context: Any, server: Server) -> None:
    """Another port of the same host is the same site to a browser: it sends the cookie along."""
    with stranger() as url:
        page = context.new_page()
        answers: list[tuple[str, int]] = []
        page.on("response", lambda answer: answers.append((answer.url, answer.status)))
        page.goto(url)
        came = page.evaluate(_REACH, server.url)
        page.evaluate(
            "(to) => open(to)", server.url
        )  # a link's way: what it leads to is shown, and not to the stranger
        framed = page.evaluate(
            """(to) => new Promise((done) => {
              const frame = Object.assign(document.createElement('iframe'), {src: to});
              frame.onload = () => { try { done(frame.contentDocument.body.innerHTML); } catch { done('foreign'); } };
              document.body.append(frame);
            })""",
            server.url,
        )
        form = """(to) => {
          const form = Object.assign(document.createElement('form'), {method: 'post', action: to + '/folder/x'});
          document.body.append(form);
          form.submit();
        }"""
        with page.expect_navigation():
            page.evaluate(form, server.url)
        assert "not answered" in page.inner_text("body")
    assert set(came.values()) <= {"failed", "nothing"} and framed in ("foreign", "")
    ours = {status for answered, status in answers if answered.startswith(server.url)}
    assert ours <= {403}, answers


def test_a_name_that_was_made_to_lead_here_is_answered_by_nothing_of_the_page(server: Server) -> None:
    """DNS rebinding: the page's own script would have the same origin as what it asks for."""
    code = """
import json, sys
from playwright.sync_api import sync_playwright
url, executable, arguments = json.loads(sys.argv[1])
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=executable, args=arguments)
    page = browser.new_page()
    answer = page.goto(url)
    opened = page.evaluate('''() => new Promise((done) => {
      const made = new WebSocket(location.origin.replace('http', 'ws') + '/_stcore/stream');
      made.onopen = () => done('opened'); made.onerror = () => done('failed'); })''')
    read = page.evaluate("async () => (await fetch('/_stcore/host-config')).status")
    print(json.dumps([answer.status, page.inner_text("body"), opened, read]))
    browser.close()
"""
    own = [each for each in ARGUMENTS if "host-resolver-rules" not in each]
    given = [
        server.address().replace("127.0.0.1", "evil.test"), find_chromium(),
        [*own, "--host-resolver-rules=MAP evil.test 127.0.0.1"],
    ]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", code, json.dumps(given)], capture_output=True, text=True, timeout=PATIENCE_S
    )
    status, body, opened, read = json.loads(ended.stdout or ended.stderr)
    assert (status, opened, read) == (421, "failed", 421) and "another name" in body


def test_another_browser_is_told_how_to_get_in_and_gets_in_by_the_address(browser: Any, server: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    answer = page.goto(f"{server.url}/sessions")
    assert answer.status == 401 and "longdesk up" in page.inner_text("body")
    page.goto(server.address("/sessions"))
    page.wait_for_selector(".wordmark")
    assert page.url == f"{server.url}/sessions" and "token" not in page.evaluate("location.href + document.referrer")
    assert "longdesk" not in page.evaluate("document.cookie")  # no script can read it
    page.reload()
    page.wait_for_selector(".wordmark")
    context.close()


def test_the_page_s_views_need_nothing_that_its_policy_forbids(
    server: Server, open_page: Callable[..., DeskPage]
) -> None:
    """The chart, the components, the fonts; that folders, uploads, pictures and copies work: the other tests here."""
    page = open_page(server)
    broken: list[str] = []
    page.page.on("console", lambda message: broken.append(message.text) if "Security Policy" in message.text else None)
    page.page.on("requestfailed", lambda request: broken.append(request.url))
    for path, shows in (
        ("/plan", "canvas, svg.marks"),
        ("/sessions", ".wordmark"),
        ("/connections", ".st-key-add-engine"),
    ):
        page.page.goto(server.url + path)
        page.page.wait_for_selector(shows)
        page.settle()
    assert [each for each in broken if "Security Policy" in each] == []
