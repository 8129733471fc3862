"""`longdesk ask`, and the kill of it and all of its processes while it keeps its KV state."""

import signal
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

from tests.command_line import CommandLine, Run

OPTIONS = ("--kv", "f32", "--max-tokens", 4, "--json")
_POLL_S, _LOOK_S = 0.0005, 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was answered, seconds that its state was being written, and whether that was left half done."""

    stop: str
    reused_tokens: int
    written_s: float
    is_half_written: bool


@dataclass(frozen=True, slots=True)
class Victim:
    """Questions in one session, each a process of its own."""

    longdesk: CommandLine
    session: str

    def ask(self, *, kill_after_s: float = 60.0) -> Asked:
        """Kills everything so long after the first byte of a state was written, unless it is done by then."""
        folder = self.longdesk.home / "snapshots"
        process = self.longdesk.start("ask", "--session", self.session, "-q", "And where is the light?", *OPTIONS)
        family: list[psutil.Process] = []
        looked_at = 0.0
        while process.poll() is None and not any(folder.glob("*.part")):
            if time.monotonic() - looked_at > _LOOK_S:
                family, looked_at = _family(process.pid), time.monotonic()
            time.sleep(_POLL_S)
        begun, written_s = time.monotonic(), 0.0
        while process.poll() is None and (passed_s := time.monotonic() - begun) < kill_after_s:
            if any(folder.glob("*.part")):
                written_s = passed_s
            time.sleep(_POLL_S)
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGKILL)
        answer = Run(0, process.communicate()[0], "").answer
        psutil.wait_procs(family)
        return Asked(answer["stop"], answer["reused_tokens"], written_s, any(folder.glob("*.part")))


def _family(pid: int) -> list[psutil.Process]:
    """A process and those below it; who writes goes first."""
    with suppress(psutil.NoSuchProcess):
        own = psutil.Process(pid)
        return [*reversed(own.children(recursive=True)), own]
    return []
