"""A real page to drive: `longdesk up` as a process of its own, over a home of its own."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from app.door.keys import PAGE_FILE
from storage.store import Store
from tests.held import held
from tests.known import settled, starter
from tests.offline import offline
from tests.patience import PATIENCE_S, until


@dataclass(frozen=True, slots=True)
class Held:
    """A held engine, and how long the text of its answer was when it was seen last."""

    engine: psutil.Process
    n_text: int


class Server:
    """`longdesk up` on a free port. Its log lies beside its home. variables: of its environment. asks: whether a
    model is ever asked there, of which everything is to be known then."""

    def __init__(
        self,
        home: Path,
        *options: str,
        reply_tokens: int = 60,
        variables: Mapping[str, str] | None = None,
        asks: bool = True,
    ) -> None:
        self.home, self._variables = home, dict(variables or {})
        self.options = options
        self.log = home.with_name(home.name + ".log")
        home.mkdir(parents=True, exist_ok=True)
        (home / "config.toml").write_text(f"reply_tokens = {reply_tokens}\n")
        if asks:
            settled(home, Path(options[options.index("--model") + 1]) if "--model" in options else starter())
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self, port: int | None = None) -> None:
        """Starts it and waits until it serves. port: one that is free, where it does not matter which."""
        port = port or free_port()
        self.url = f"{'https' if '--tls-cert' in self.options else 'http'}://127.0.0.1:{port}"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("longdesk")), "up", "--port", str(port), *self.options],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        until(lambda: self._serves() or not self.is_running, every_s=0.2)
        assert self.is_running, self.log.read_text()

    def address(self, path: str = "/") -> str:
        """A path of the page with the token that lets a new browser in."""
        token = (self.home / PAGE_FILE).read_text().strip()
        return f"{self.url}{path}{'&' if '?' in path else '?'}token={token}"

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it and waits until it is gone."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE_S)
            self._process = None

    def longdesk(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> Any:
        """What the command line says over the same home, at the same time: its JSON. codes: exits that are expected."""
        command = [str(Path(sys.executable).with_name("longdesk")), *arguments, "--json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, timeout=PATIENCE_S)
        assert done.returncode in codes, done.stderr.decode()
        lines = done.stdout.decode()
        return json.loads(lines if arguments[0] != "ask" else lines.splitlines()[-1])

    def run(self, *arguments: str) -> bytes:
        """What a command over the same home prints, as it is."""
        command = [str(Path(sys.executable).with_name("longdesk")), *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, timeout=PATIENCE_S, check=True).stdout

    def begin(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """A command over the same home that is not waited for."""
        command = [str(Path(sys.executable).with_name("longdesk")), *arguments]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @contextmanager
    def holding(self, session: str, *, longer_than: int = 0, pid: int | None = None) -> Iterator[Held]:
        """Holds the engine as soon as the session's last answer is longer than that, until the end of the block.

        pid: whose engine, the page's own where it is None.
        """
        text = ""

        def look() -> bool:
            nonlocal text
            turns = store.turns.of(session)
            text = turns[-1].text if turns else ""
            assert not turns or turns[-1].stop != "error", turns[-1].error
            return len(text) > longer_than

        assert self._process is not None
        with Store(self.home) as store:
            until(look, every_s=0.002)
        with held(pid or self._process.pid) as engine:
            yield Held(engine, len(text))

    def hold(self) -> AbstractContextManager[psutil.Process]:
        """Holds the page's engine as it is now."""
        assert self._process is not None
        return held(self._process.pid)

    def children(self) -> list[psutil.Process]:
        """The processes that the page has started: its engine."""
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LONGDESK_", "DISPLAY"))}
        return offline({**kept, "LONGDESK_HOME": str(self.home), **self._variables})

    def _serves(self) -> bool:
        try:
            context = ssl._create_unverified_context() if self.url.startswith("https") else None
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=PATIENCE_S, context=context) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
