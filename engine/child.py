"""A child process of ours and the frames that parent and child exchange.

llama.cpp ends its process on some files, so everything that loads a GGUF runs in a child. Owns starting, framing and
dying; what the frames mean is left to engine.tokens.llama_tokenizer and engine.runtime. Children speak over their own
descriptors, never over standard output, and are started with `python -m`, since multiprocessing's spawn would run a
Streamlit page again.
"""

import contextlib
import ctypes
import json
import os
import platform
import re
import runpy
import select
import signal
import struct
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from threading import Lock, Thread
from time import monotonic
from typing import IO, Any

from engine.errors import EngineDied, EngineFailed, EngineKilled
from engine.watching import ANSWERING, LastWords, Patience, Pulse, ending

MODEL_SUSPECT = "the model file is one that llama.cpp cannot run"
_ENDING_S = 5.0  # how long the system takes to end a process, and some
_LOOK_S = 0.5  # at a child that says nothing
_PART_BYTES = 64 << 10  # what a pipe holds
_SECRET = re.compile("KEY|TOKEN|SECRET|PASS|PWD|AUTH|CREDENTIAL", re.IGNORECASE)  # in the name of a variable
_FRAME = struct.Struct("<IQ")  # bytes of the JSON fields, bytes of the payload
_STACK_BYTES = 8 << 10  # a signal's frame takes 3.5 KiB with AVX-512, 11.5 KiB with tiles
_SMALL_STACK: list[object] = []  # kept as long as the process lives: the kernel holds but its address


class _SignalStack(ctypes.Structure):
    """stack_t of sigaltstack(2)."""

    _fields_ = (("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: small fields as JSON, and bulk bytes (token ids as little-endian int32) beside them."""

    fields: dict[str, Any]
    payload: bytes = b""


Wait = Callable[[int], object]  # until a descriptor can be read or written
PatienceNow = Callable[[], Patience]  # it may grow short while one waits


class Channel:
    """Two pipe ends. Writing is safe from several threads; only one thread may read. A wait is given where the ends do
    not block: it raises what ends the call."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes]) -> None:
        self._reader, self._writer = reader, writer
        self._lock = Lock()

    def send(self, fields: Mapping[str, Any], payload: bytes = b"", wait: Wait | None = None) -> None:
        """Writes one frame. Raises BrokenPipeError when the other side is gone."""
        head = json.dumps(fields, separators=(",", ":")).encode()
        with self._lock:
            self._write(_FRAME.pack(len(head), len(payload)) + head, wait)
            if payload:
                self._write(payload, wait)
            self._writer.flush()

    def _write(self, data: bytes, wait: Wait | None) -> None:
        if wait is None:
            self._writer.write(data)
            return
        view = memoryview(data)
        while view:
            n_written = self._writer.write(view[:_PART_BYTES])
            if n_written is None:  # the pipe is full
                wait(self._writer.fileno())
            else:
                view = view[n_written:]

    def receive(self, wait: Wait | None = None) -> Frame | None:
        """Reads one frame; None when the other side is gone."""
        head = self._read(_FRAME.size, wait)
        if head is None:
            return None
        n_fields, n_payload = _FRAME.unpack(head)
        fields, payload = self._read(n_fields, wait), self._read(n_payload, wait)
        return None if fields is None or payload is None else Frame(json.loads(fields), payload)

    def has_frame(self, timeout_s: float) -> bool:
        """Whether something can be received within that time: a frame, or the other side's end."""
        return bool(select.select([self._reader], [], [], timeout_s)[0])

    def _read(self, n_bytes: int, wait: Wait | None) -> bytes | None:
        """Exactly that many bytes. Unbuffered, so that polling the descriptor tells the truth about what waits."""
        parts = bytearray()
        while len(parts) < n_bytes:
            if wait is not None:
                wait(self._reader.fileno())
            part = self._reader.read(n_bytes - len(parts))
            if not part:
                return None
            parts += part
        return bytes(parts)

    def end_with_other_side(self) -> None:
        """Ends this process as soon as the other side is gone, also while a call into llama.cpp is under way."""
        Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._reader, 0)  # no events asked for: what comes is POLLHUP or an error
        poll.poll()
        os._exit(0)

    @property
    def closed(self) -> bool:
        return self._reader.closed

    def close(self) -> None:
        for end in (self._writer, self._reader):
            with contextlib.suppress(OSError):
                end.close()


class Child:
    """A running `python -m module`, its channel and its last words. To be closed.

    suspect: what is likely at fault if it crashes now, and what to do, as the end of a sentence.
    """

    def __init__(self, module: str) -> None:
        """Raises EngineFailed when the system gives no process for it."""
        self.suspect = MODEL_SUSPECT
        child_reads, parent_writes = os.pipe()
        parent_reads, child_writes = os.pipe()
        self._channel = Channel(os.fdopen(parent_reads, "rb", buffering=0), os.fdopen(parent_writes, "wb", buffering=0))
        os.set_blocking(parent_writes, False)
        self._words = LastWords()
        try:
            self._process = subprocess.Popen(
                [*python_command(module), str(child_reads), str(child_writes)],
                pass_fds=(child_reads, child_writes),
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=self._words.writes,
                stderr=self._words.writes,
                start_new_session=True,  # Ctrl-C is the parent's to handle: it cancels and keeps what was read
            )
        except OSError as error:
            self._channel.close()
            self._words.give_up()
            raise EngineFailed(
                f"The engine's process cannot be started: {error.strerror}.", "Close other programs and ask again."
            ) from None
        finally:
            os.close(child_reads)
            os.close(child_writes)
        self._words.begin()
        self._pulse = Pulse(self._process.pid)
        self._reads, self._writes = parent_reads, parent_writes
        # one that nobody closes, as when a thread started it while its owner was being closed, ends with its last user
        self._left_open = weakref.finalize(self, _let_go, self._channel, self._process)
        self._left_open.atexit = False  # a closed pipe tells it then

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def has_left(self) -> bool:
        """Whether it ended of itself, since nobody had asked it anything for a while."""
        return self._process.poll() == 0

    def send(
        self, fields: Mapping[str, Any], payload: bytes = b"", *, patience: PatienceNow = lambda: ANSWERING
    ) -> None:
        """Raises EngineDied when the child is gone, and when it takes nothing for longer than patience has."""
        self._pulse.heard()
        try:
            self._channel.send(fields, payload, lambda _: self._until(self._writes, select.POLLOUT, patience))
        except (BrokenPipeError, ValueError):
            raise self.death() from None

    def receive(self, timeout_s: float | None = None, *, patience: PatienceNow = lambda: ANSWERING) -> Frame | None:
        """The next frame, or None when the timeout passed first. Raises EngineDied when the child is gone, and when it
        gave no sign of life for longer than patience has: then it is ended. Time counts from the last frame, or from
        what was sent then."""
        with contextlib.suppress(ValueError):  # closed meanwhile
            if not self._until(self._reads, select.POLLIN, patience, timeout_s):
                return None
            frame = self._channel.receive(lambda _: self._until(self._reads, select.POLLIN, patience))
            self._pulse.heard()
            if frame is not None:
                return frame
        raise self.death()

    def _until(self, descriptor: int, events: int, patience: PatienceNow, timeout_s: float | None = None) -> bool:
        """Waits until a pipe can be used; whether it can before the timeout. Raises EngineDied as receive does."""
        if self._channel.closed:
            raise ValueError
        poll, end = select.poll(), None if timeout_s is None else monotonic() + timeout_s
        poll.register(descriptor, events)
        while True:
            most_s = min(_LOOK_S, patience().still_s)
            left_s = most_s if end is None else min(most_s, max(0.0, end - monotonic()))
            if poll.poll(left_s * 1_000):
                if timeout_s is None:  # in the middle of a frame
                    self._pulse.heard()
                return True
            if (gone_s := self._pulse.gone_for(patience())) is not None:
                raise self.given_up(patience(), gone_s)
            if end is not None and monotonic() >= end:
                return False

    def given_up(self, patience: Patience, seconds: float) -> EngineKilled:
        """Ends a child that has not done in so many seconds what it was to do; the error that says so."""
        self._process.kill()
        self.close()
        return EngineKilled(
            f"The engine's process did not {patience.what} for {seconds:,.0f} seconds and was ended.",
            "Ask again: a new engine starts.",
        )

    def death(self) -> EngineDied:
        """The error that says how the child ended. Waits for it, so that no zombie stays."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_S)
        code = self._process.poll()
        if code is None:
            self._process.kill()
        words = self._words.said()
        self.close()
        if code == -signal.SIGKILL:
            return EngineKilled(
                "The engine's process was killed from outside"
                " (by the system, if memory ran out, or by a kill command).",
                "Ask again: a new engine starts. If memory was short, choose a smaller context or model.",
            )
        return EngineDied(
            f"The engine's process {ending(code)}{': ' + words if words else ''}.",
            f"Ask again: a new engine starts. If it ends again, {self.suspect}.",
        )

    def close(self) -> None:
        """Ends the child now; a closed pipe is its sign to leave, and a kill follows if it does not."""
        self._channel.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            _let_go(self._channel, self._process)
        self._words.said()  # all of it is read
        self._left_open.detach()

    def kill(self) -> None:
        """Ends the child while another thread may wait for its answer, which hears of it; to be closed all the same."""
        self._process.kill()


def _let_go(channel: Channel, process: "subprocess.Popen[bytes]") -> None:
    channel.close()
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):  # one that a disk holds ends when that lets it
        process.wait(_ENDING_S)


def python_command(module: str) -> list[str]:
    """Runs one of our modules. -P: the working directory may be a stranger's code, with an engine/ or a json.py."""
    return [sys.executable, "-P", "-m", "engine.child", module]


def _run(module: str) -> None:
    """The child's first step: as `python -m module` would, but with llama.cpp's C interface alone."""
    sys.argv = sys.argv[1:]
    _leave_chat_formats_out()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _leave_chat_formats_out() -> None:
    """Has `import llama_cpp` bring what its llama_cpp.llama_cpp has, when that is first asked for. The package itself
    brings chat formats, jinja2 and SQLite too: 5 MB and 0.2 s in every child, and nothing of it is used."""
    spec = find_spec("llama_cpp")
    if spec is None:
        return
    package = sys.modules["llama_cpp"] = module_from_spec(spec)  # but it is not run

    def bring(name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        brought = vars(import_module("llama_cpp.llama_cpp"))
        vars(package).update({each: brought[each] for each in brought if not each.startswith("_")})
        if name not in vars(package):
            raise AttributeError(name)
        return vars(package)[name]

    vars(package)["__getattr__"] = bring


def environment() -> dict[str, str]:
    """The variables of a child, which reads what strangers wrote: none that may be a key, our own folder on its path,
    and no debugger where an assertion fails."""
    own = str(Path(__file__).resolve().parents[1])
    own = own if os.pathsep not in own else ""  # it would be taken for two others; where it is installed it is found
    path = os.pathsep.join(filter(None, (own, os.environ.get("PYTHONPATH"))))
    kept = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
    return {**kept, "PYTHONPATH": path, "GGML_NO_BACKTRACE": "1"}


def channel_of_child() -> Channel:
    """The child's side: the two descriptors that `Child` passed as arguments."""
    return Channel(os.fdopen(int(sys.argv[1]), "rb", buffering=0), os.fdopen(int(sys.argv[2]), "wb"))


def leave_amx_alone() -> None:
    """Has llama.cpp compute without AMX in this process; to be called before it loads a model.

    Its AMX kernels end the process with SIGILL on CPUs that have AMX (0c1e57098, Q4_1 weights, seen on a virtual Xeon
    whose tiles otherwise work). It asks the kernel for permission first, which the kernel refuses to a process that has
    a signal stack too small for tiles (Linux, arch/x86/kernel/fpu/xstate.c). No handler of ours runs on that stack.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64" or _SMALL_STACK:
        return
    room = ctypes.create_string_buffer(_STACK_BYTES)
    stack = _SignalStack(ctypes.addressof(room), 0, _STACK_BYTES)
    if ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None) == 0:
        _SMALL_STACK.append(room)


def offer_to_oom_killer() -> None:
    """Raises this process's oom_score_adj, so that the kernel takes the engine before the page and the sessions."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("900")


if __name__ == "__main__":
    _run(sys.argv[1])
