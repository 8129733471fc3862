"""What is known of a child process from outside: whether it still does something, how it ended, its last words.

No wait for a child is without end. A child that is stopped, or waits for what never comes, neither speaks nor works;
one that goes round in circles works and never speaks. How long either may last is a Patience.
"""

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from threading import Thread

_KEPT_BYTES = 8 << 10  # of what a child wrote last
_AT_ONCE = 64 << 10
_LOOKS = 10  # at its work, while a Patience lasts


@dataclass(frozen=True, slots=True)
class Patience:
    """still_s: for how long a child may neither speak nor work: no frame, no time on a core, no page off the disk.
    silent_s: for how long it may work without a frame. what: it was to do."""

    still_s: float
    silent_s: float
    what: str = "answer"


ANSWERING = Patience(120.0, 1_800.0)  # a batch on a slow machine takes minutes, and each is told


@dataclass(frozen=True, slots=True)
class EnginePatience:
    """How long an engine may give no sign of life before it is ended. Stopping it takes no longer than the longer of
    its two, whatever it says meanwhile: a decode step of a large model on a slow machine, and some."""

    loading: Patience = Patience(300.0, 3_600.0, "load its model")  # a tensor off a slow disk is no word of its own
    answering: Patience = ANSWERING
    saving: Patience = Patience(120.0, 3_600.0, "write its KV cache")
    stopping: Patience = Patience(10.0, 60.0, "stop")

    def of(self, call: str) -> Patience:
        """While this is done."""
        return {"load": self.loading, "save": self.saving}.get(call, self.answering)


class Pulse:
    """When a child last gave a sign of life. Of one thread at a time, but `heard`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._work: tuple[int, ...] | None = None
        self.heard()
        self._looked = self._worked

    def heard(self) -> None:
        """It spoke, it took something, or it is asked something now."""
        self._spoke = self._worked = time.monotonic()

    def gone_for(self, patience: Patience) -> float | None:
        """The seconds after which it is given up; None where there is hope."""
        now = time.monotonic()
        if now - self._spoke > patience.silent_s:
            return patience.silent_s
        if now - self._looked > patience.still_s / _LOOKS:
            self._looked = now
            is_busy, work = _work_of(self._pid)
            if is_busy or work != self._work:
                self._work, self._worked = work, now
        return patience.still_s if now - self._worked > patience.still_s else None


def _work_of(pid: int) -> tuple[bool, tuple[int, ...]]:
    """Whether a process wants to run or waits for a disk just now; ticks on a core and pages from the disk so far."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return fields[0] in (b"R", b"D"), (int(fields[9]), int(fields[11]), int(fields[12]))
    except (OSError, IndexError, ValueError):
        pass
    import psutil  # not Linux

    with contextlib.suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return False, (int(1_000 * times.user), int(1_000 * times.system))
    return False, ()


class LastWords:
    """The end of what a child writes, however much that is: read by a thread as long as somebody can write it."""

    def __init__(self) -> None:
        self._reads, self.writes = os.pipe()
        self._kept = bytearray()
        self._thread = Thread(target=self._read, name="last-words", daemon=True)

    def begin(self) -> None:
        """The child has its end; ours is closed."""
        os.close(self.writes)
        self._thread.start()

    def give_up(self) -> None:
        """There is no child after all."""
        os.close(self.writes)
        os.close(self._reads)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while part := os.read(self._reads, _AT_ONCE):
                self._kept = (self._kept + part)[-_KEPT_BYTES:]
        os.close(self._reads)

    def said(self) -> str:
        """The line that says most, once the child has ended: a failed assertion, else the last error; 300 characters of
        it."""
        self._thread.join(1)
        lines = bytes(self._kept).decode("utf-8", "replace").splitlines()
        errors = [line.strip() for line in lines if "error" in line.lower()]
        asserted = [line.strip() for line in lines if "GGML_ASSERT" in line]
        return (asserted[:1] or errors[-1:] or [""])[0][:300]


def ending(code: int | None) -> str:
    """How a process ended, by its exit status; None for one that has only stopped answering."""
    if code is None:
        return "stopped answering"
    if code >= 0:
        return f"ended with exit code {code}"
    return f"ended with signal {signal.Signals(-code).name if -code in set(signal.Signals) else -code}"
