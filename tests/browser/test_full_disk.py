"""`up` on a disk that is full: it opens without a token that could be kept, and a session is deleted there."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.store import Store
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.full_disk import fill, small_disk


class Unkept(Server):
    """One whose address stands in what it said alone."""

    def address(self, path: str = "/") -> str:
        token = re.findall(r"token=(\S+)", self.log.read_text())[-1]
        return f"{self.url}{path}?token={token}"


@pytest.fixture
def server(tmp_path: Path, llama_gguf: Path) -> Iterator[Unkept]:
    with small_disk(tmp_path / "disk") as disk:
        made = Unkept(disk / "home", "--model", str(llama_gguf), asks=False)
        made.log = tmp_path / "log"
        with Store(made.home) as store:
            store.sessions.create(title="Bridges", model="m", system="", frozen_date="2026-01-01")
        fill(disk)
        made.start()
        yield made
        made.stop()


def test_a_session_is_opened_and_deleted(server: Unkept, open_page: Callable[..., DeskPage]) -> None:
    assert "page-token cannot be written: the disk is full" in server.log.read_text()
    assert not list(server.home.glob("page-token*")), "nothing that is no token is left behind"
    page = open_page(server).page
    page.get_by_text("is full: 0 bytes are free there").wait_for()
    page.get_by_role("button", name="Bridges", exact=True).click()
    page.wait_for_url("**session=*")
    page.get_by_role("button", name="Rename, export or delete").click()
    page.get_by_role("menuitem", name="Delete").or_(page.get_by_role("option", name="Delete")).click()
    page.locator(".st-key-really-delete button").click()
    page.get_by_text("Sessions appear here once you ask.").wait_for()
    with Store(server.home) as store:
        assert store.sessions.list() == ()
    assert "Traceback" not in server.log.read_text()
