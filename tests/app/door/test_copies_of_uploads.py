"""Copies of uploads, and the process of `longdesk up` that has them: they go with it, however it ends."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from app.door.setting import Door
from tests.app.tab import left
from tests.browser.server import free_port
from tests.offline import offline
from tests.patience import PATIENCE_S, until

pytestmark = pytest.mark.slow  # 5 s each: the page's server starts

_UP = """
import sys
from app import state
from app.door.setting import Door
from app.server import serve
from tests.app.test_uploads import Sent
if sys.argv[2:] == ["upload"]:  # as the page does with what is dropped; a lock file is skipped, and may be wanted
    house = state.house()
    delivery = house.intake.read_uploads([Sent("folder/a.txt", b"words"), Sent("folder/yarn.lock", b"words")])
    house.intake.add(house.desk.begin_session("S").id, delivery)
serve(Door.taken(int(sys.argv[1])))
"""


@contextmanager
def up(home: Path, *what: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The page's server, as `up` becomes it, from when it serves."""
    port = free_port()
    environment = offline({**os.environ, "LONGDESK_HOME": str(home), "LONGDESK_MODEL": "none.gguf"})
    Door(port=port).put(environment)
    process = subprocess.Popen([sys.executable, "-c", _UP, str(port), *what], env=environment, stderr=subprocess.PIPE)

    def serves() -> bool:
        assert process.poll() is None, process.stderr and process.stderr.read()
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=PATIENCE_S):
            return True
        return False

    with process:
        try:
            until(serves, every_s=0.1)
            yield process
        finally:
            process.kill()


def test_a_closed_terminal_takes_them_away(tmp_path: Path) -> None:
    with up(tmp_path, "upload") as process:
        assert [Path(name).name for name in left(tmp_path)][2:] == ["a.txt", "yarn.lock"]
        process.send_signal(signal.SIGHUP)
        process.wait(PATIENCE_S)
    assert left(tmp_path) == []


def test_after_a_kill_the_next_page_takes_them_away_before_anybody_opens_it(tmp_path: Path) -> None:
    with up(tmp_path, "upload") as process:
        process.kill()
        process.wait(PATIENCE_S)
    assert len(left(tmp_path)) == 4, "two files in a folder in a private one"
    with up(tmp_path) as process:
        assert left(tmp_path) == []
        process.terminate()
        process.wait(PATIENCE_S)
