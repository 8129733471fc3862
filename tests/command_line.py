"""Running `longdesk` as scripts do: a process of its own, its exit code, and what it wrote where."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.known import settled
from tests.offline import offline
from tests.patience import PATIENCE_S

LONGDESK = Path(sys.executable).with_name("longdesk")
_OPEN_A_MODEL = ("ask", "count", "plan", "reading", "serve", "summarize")


@dataclass(frozen=True, slots=True)
class Run:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def answer(self) -> dict[str, Any]:
        """The last event of `ask --json`."""
        last = self.events[-1]
        assert last["event"] == "answer"
        return last


@dataclass(frozen=True, slots=True)
class CommandLine:
    """`longdesk` with a home and a model of its own. variables: more of its environment. is_new: whether a new home
    knows nothing of the model, as the first one on a machine."""

    home: Path
    model: Path | str
    variables: Mapping[str, str] = field(default_factory=dict)
    is_new: bool = False

    @property
    def environment(self) -> dict[str, str]:
        own = {"LONGDESK_HOME": str(self.home), "LONGDESK_MODEL": str(self.model)}
        return offline({**os.environ, **own, **self.variables})

    def __call__(self, *arguments: object, stdin: str | None = None) -> Run:
        """Runs it to its end. Whatever happens, no traceback may show."""
        self._settle(arguments)
        ended = subprocess.run(
            [LONGDESK, *map(str, arguments)],
            env=self.environment,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE_S,
            check=False,
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        return Run(ended.returncode, ended.stdout, ended.stderr)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Starts it and comes back at once."""
        self._settle(arguments)
        return subprocess.Popen(
            [LONGDESK, *map(str, arguments)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def _settle(self, arguments: tuple[object, ...]) -> None:
        if self.is_new or not arguments or arguments[0] not in _OPEN_A_MODEL:
            return
        given = [each for flag, each in pairwise(arguments) if flag == "--model"]
        model = given[-1] if given else self.model
        if isinstance(model, Path):
            settled(self.home, model)
