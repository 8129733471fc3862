"""Processes that read strangers' files, so that this one lives whatever is in a file: a few, started as they are
needed, each for one file at a time and many after each other.

A reader is told where its next step begins (a page, a frame) by its own word, and is ended by us when a step or the
file takes too long, or by the system when it takes too much; then another takes its place. Waiting for one is never in
the way of a stop: whoever waits may raise. What a reader does is its module's, see `formats.reading_child`.
"""

import atexit
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from threading import Condition
from time import monotonic
from typing import Any

from engine.child import environment, python_command
from engine.corpus.readers import limits
from engine.corpus.readers.wire import HEAD, Frame, fields_in, send_request, sizes_of

_POLL_S = 0.05
_ENDING_S = 5.0
_AHEAD_BYTES = 64 << 10  # received at once: the whole of most frames, and of several that say where a reader is
_KEPT_NAMES = ("PATH", "PYTHON", "LD_", "DYLD_", "LANG", "LC_", "TMPDIR", "LONGDESK_")

Waiting = Callable[[str], None]  # see formats.format
Step = tuple[str, int]  # what a reader is about to do, and with which page or frame; 0 for none


class How(Enum):
    """How a reader failed on a file."""

    TIME = "too long"
    MEMORY = "too much memory"
    CRASH = "crashed"
    START = "cannot be started"


class ReaderFailed(Exception):
    """A reader gave nothing for a file. step: what it was at. words: on a START that failed."""

    def __init__(self, how: How, step: Step = ("", 0), words: str = "") -> None:
        super().__init__(f"{how.value} at {step}")
        self.how, self.step, self.words = how, step, words


class _Left(Exception):
    """It had ended before it took the request: it had been idle, or was killed meanwhile."""


class Reader:
    """One process. To be killed."""

    def __init__(self, module: str) -> None:
        """Raises ReaderFailed when the system gives no process for it."""
        self._channel, theirs = socket.socketpair()
        nothing, nowhere = os.pipe()
        os.close(nowhere)
        unheard, said = os.pipe()  # whatever a library says of a file is for nobody
        os.close(unheard)
        try:
            self._process = subprocess.Popen(
                [*python_command(module), str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env=_environment(),
                stdin=nothing,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )
        except OSError as error:
            self._channel.close()
            raise ReaderFailed(How.START, words=error.strerror or str(error)) from None
        finally:
            theirs.close()
            os.close(nothing)
            os.close(said)
        self._poll = select.poll()
        self._poll.register(self._channel, select.POLLIN)
        self._step: Step = ("", 0)
        self._told_at = 0.0
        self._ahead = bytearray()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, fields: Mapping[str, Any], descriptor: int, waiting: Waiting) -> Frame:
        """What it answers. Raises ReaderFailed, and what `waiting` raises; the reader is to be killed then."""
        kept = {name: getattr(limits, name) for name in limits.TOLD}
        if fields.get("quick"):
            kept["STEP_CPU_S"] = min(limits.EYES_CPU_S, limits.STEP_CPU_S)
        told = {**fields, "limits": kept}
        self._step, self._told_at = ("", 0), monotonic()
        try:
            self._channel.settimeout(_ENDING_S)
            send_request(self._channel, told, descriptor)
            self._channel.setblocking(False)
            self._frame(monotonic() + limits.START_S, waiting)  # it has begun
        except (OSError, EOFError):
            raise _Left from None
        file_end = monotonic() + limits.FILE_S
        while True:
            try:
                step_s = limits.STEP_S if self._step[1] else limits.STEP_S * limits.OPEN_TIMES
                frame = self._frame(min(file_end, monotonic() + step_s), waiting)
                if "step" not in frame.fields:
                    return self._answer(frame)
                name, number = frame.fields["step"]
                self._step = str(name), int(number)
                if monotonic() - self._told_at >= _POLL_S:  # one quick page may follow the other for an hour
                    self._tell(waiting)
            except (EOFError, ConnectionError):
                raise ReaderFailed(self._ending(), self._step) from None
            except (ValueError, TypeError, KeyError):  # Nonsense is one
                raise ReaderFailed(How.CRASH, self._step) from None
            file_end += limits.PAGE_S

    def _answer(self, frame: Frame) -> Frame:
        failed = frame.fields.get("failed")
        if failed is not None:
            raise ReaderFailed(How.MEMORY if failed == "memory" else How.CRASH, self._step)
        return frame

    def _frame(self, until: float, waiting: Waiting) -> Frame:
        n_fields, n_payload = sizes_of(self._take(HEAD.size, until, waiting))
        fields = fields_in(self._take(n_fields, until, waiting))
        return Frame(fields, self._take(n_payload, until, waiting))

    def _take(self, n_bytes: int, until: float, waiting: Waiting) -> bytearray:
        """Exactly that many bytes."""
        while len(self._ahead) < n_bytes <= _AHEAD_BYTES:
            self._wait(until, waiting)
            got = self._channel.recv(_AHEAD_BYTES)
            if not got:
                raise EOFError
            self._ahead += got
        taken, at = self._ahead[:n_bytes], min(len(self._ahead), n_bytes)
        del self._ahead[:at]
        if at < n_bytes:
            taken.extend(bytes(n_bytes - at))
            self._receive_into(memoryview(taken)[at:], until, waiting)
        return taken

    def _receive_into(self, left: memoryview, until: float, waiting: Waiting) -> None:
        while left:
            self._wait(until, waiting)
            got = self._channel.recv_into(left)
            if not got:
                raise EOFError
            left = left[got:]

    def _wait(self, until: float, waiting: Waiting) -> None:
        """Until there is something to receive. Raises ReaderFailed when the time is up."""
        while not self._poll.poll(min(_POLL_S, max(0.0, until - monotonic())) * 1000):
            if monotonic() >= until:
                raise ReaderFailed(How.TIME, self._step)
            self._tell(waiting)

    def _tell(self, waiting: Waiting) -> None:
        self._told_at = monotonic()
        waiting(f"page {self._step[1]}" if self._step[1] else "")

    def _ending(self) -> How:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_S)
        return How.TIME if self._process.poll() == -signal.SIGXCPU else How.CRASH

    def kill(self) -> None:
        """Ends it at once."""
        self._channel.close()
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_S)


class Pool:
    """The readers of this process. Safe to use from several threads."""

    def __init__(self, module: str) -> None:
        """module: that a reader runs."""
        self._module = module
        self._idle: list[Reader] = []
        self._n_lent = 0
        self._free = Condition()
        self._is_hooked = False

    def expect(self) -> None:
        """A file is to come: a reader may start meanwhile."""
        with self._free, suppress(ReaderFailed):
            if not self._n_lent and not any(reader.alive for reader in self._idle):
                self._idle.append(self._started())

    def ask(self, fields: Mapping[str, Any], descriptor: int, waiting: Waiting) -> Frame:
        """What a reader answers. Raises ReaderFailed, and what `waiting` raises."""
        for _ in range(limits.MOST_TRIES):
            with suppress(_Left):
                return self._asked(fields, descriptor, waiting)
        raise ReaderFailed(How.START, words="it ends as soon as it has begun")

    def _asked(self, fields: Mapping[str, Any], descriptor: int, waiting: Waiting) -> Frame:
        reader, is_well = self._lend(waiting), False
        try:
            frame = reader.ask(fields, descriptor, waiting)
            is_well = not frame.fields.get("sheds")
            return frame
        finally:
            if not is_well:
                reader.kill()
            with self._free:
                self._n_lent -= 1
                if is_well:
                    self._idle.append(reader)
                self._free.notify()

    def _lend(self, waiting: Waiting) -> Reader:
        with self._free:
            while self._n_lent >= limits.MOST_READERS:
                self._free.wait(_POLL_S)
                waiting("")
            self._n_lent += 1
            try:
                while self._idle:
                    reader = self._idle.pop()  # the warmest
                    if reader.alive:
                        return reader
                    reader.kill()
                return self._started()
            except BaseException:
                self._n_lent -= 1
                raise

    def _started(self) -> Reader:
        if not self._is_hooked:
            self._is_hooked = True
            atexit.register(self.close)
        return Reader(self._module)

    def pids(self) -> list[int]:
        """Of the readers that wait for a file."""
        with self._free:
            return [reader.pid for reader in self._idle if reader.alive]

    def close(self) -> None:
        """Ends those that wait for a file; more are started when they are needed."""
        with self._free:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.kill()


def _environment() -> dict[str, str]:
    """What a reader needs of ours: no key, no address. One thread is enough for it, and many take address space."""
    variables = environment().items()
    kept = {name: at for name, at in variables if name.startswith(_KEPT_NAMES)}
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**kept, **threads, "MALLOC_ARENA_MAX": "2", "PYTHONIOENCODING": "utf-8", "HOME": os.sep}
