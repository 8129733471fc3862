"""engine.child: frames, and every way in which a child or its parent can end."""

import gc
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import psutil
import pytest

from engine import child as child_module
from engine.child import Child
from engine.errors import EngineDied, EngineFailed, EngineKilled
from engine.watching import Patience
from tests.patience import PATIENCE_S, until

ODD = "tests.odd_child"


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child(ODD)
    yield child
    child.close()


def n_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


OTHERS: set[int] = set()  # of tests before: one that left by itself is a zombie until somebody asks after it


@pytest.fixture(autouse=True)
def known_zombies() -> None:
    OTHERS.clear()
    OTHERS.update(zombies())


def zombies() -> list[int]:
    ended = (one.pid for one in psutil.Process().children() if one.status() == psutil.STATUS_ZOMBIE)
    return [pid for pid in ended if pid not in OTHERS]


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("n_bytes", [0, 1, 4_095, 4_096, 65_536, 65_537, 1_000_003, 50 << 20])
def test_frames_of_any_size_come_back_whole(child: Child, n_bytes: int) -> None:
    payload = random.Random(n_bytes).randbytes(n_bytes)
    # written from a thread, since both pipes are full before either side is done
    writer = Thread(target=child.send, args=({"do": "echo", "text": "größe \udc80 \x00 \n"}, payload))
    writer.start()
    frame = child.receive()
    writer.join()
    assert frame is not None
    assert frame.fields == {"do": "echo", "text": "größe \udc80 \x00 \n"}
    assert frame.payload == payload


def test_fields_may_be_large_too(child: Child) -> None:
    child.send({"do": "echo", "lengths": list(range(200_000))})
    frame = child.receive()
    assert frame is not None and frame.fields["lengths"][-1] == 199_999 and frame.payload == b""


def test_several_threads_may_write(child: Child) -> None:
    threads = [Thread(target=child.send, args=({"do": "echo", "n": n}, b"x" * 30_000)) for n in range(20)]
    for thread in threads:
        thread.start()
    frames = [child.receive() for _ in threads]
    for thread in threads:
        thread.join()
    assert sorted(frame.fields["n"] for frame in frames if frame) == list(range(20))
    assert all(frame and frame.payload == b"x" * 30_000 for frame in frames)


def test_waiting_ends_when_the_time_is_up(child: Child) -> None:
    assert child.receive(0.05) is None
    child.send({"do": "echo"})
    assert child.receive(PATIENCE_S) is not None


def test_what_a_child_prints_is_no_frame(child: Child) -> None:
    for _ in range(3):
        child.send({"do": "print"})
        frame = child.receive()
        assert frame is not None and frame.fields == {"printed": True}


@pytest.mark.parametrize(
    ("do", "fact"),
    [
        ({"do": "exit", "code": 0}, "ended with exit code 0: SomeError: it broke."),
        ({"do": "exit", "code": 7}, "ended with exit code 7: SomeError: it broke."),
        ({"do": "assert"}, "ended with signal SIGABRT: x.cpp:1: GGML_ASSERT(n > 0) failed."),
        ({"do": "segfault"}, "ended with signal SIGSEGV."),
        ({"do": "signal", "signal": signal.SIGKILL}, "killed from outside"),
        ({"do": "signal", "signal": 40}, "ended with signal 40."),
        ({"do": "half a frame"}, "ended with exit code 0."),
    ],
)
def test_a_child_that_ends_is_an_error_that_says_how(child: Child, do: dict[str, object], fact: str) -> None:
    child.send(do)
    with pytest.raises(EngineDied) as caught:
        child.receive()
    assert fact in caught.value.fact and caught.value.remedy
    assert not child.alive and not zombies()
    with pytest.raises(EngineDied):  # and it stays one
        child.send({"do": "echo"})
    with pytest.raises(EngineDied):
        child.receive()
    with pytest.raises(EngineDied):
        child.receive(0.1)


def test_a_child_killed_while_it_is_waited_for(child: Child) -> None:
    child.send({"do": "echo"})
    child.receive()
    killer = Thread(target=lambda: (time.sleep(0.1), os.kill(child.pid, signal.SIGKILL)))
    killer.start()
    with pytest.raises(EngineDied, match="killed from outside"):
        child.receive()
    killer.join()


def test_a_child_that_stops_answering_is_ended(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = child._process.wait
    monkeypatch.setattr(child._process, "wait", lambda timeout=None: wait(timeout and timeout / 20))
    child.send({"do": "hang with closed pipes"})
    with pytest.raises(EngineDied, match="stopped answering"):
        child.receive()
    assert not child.alive and not zombies()


def test_no_process_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    before = n_descriptors()

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(child_module.subprocess, "Popen", refuse)
    with pytest.raises(EngineFailed, match="cannot be started: Resource temporarily unavailable"):
        Child(ODD)
    assert n_descriptors() == before


@pytest.mark.slow  # 4.7 s
def test_fifty_starts_leave_nothing_behind() -> None:
    before = n_descriptors()
    for n in range(50):
        child = Child(ODD)
        if n % 10 == 0:  # a few are really waited for, the others closed while Python still starts
            child.send({"do": "echo"})
            child.receive()
        child.close()
    child.close()  # twice does no harm
    assert n_descriptors() == before and not zombies()


PARENT = """
import sys, time
from engine.child import Child
children = [Child("tests.odd_child"), Child("tests.odd_child")]
for child in children:
    child.send({"do": sys.argv[1]})
    child.receive()
print(*[child.pid for child in children], flush=True)
time.sleep(1e6)
"""


@pytest.mark.parametrize("do", ["echo", "busy"], ids=["idle", "inside a long call"])
def test_children_end_with_a_killed_parent(do: str) -> None:
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", PARENT, do], stdout=subprocess.PIPE, cwd=root) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2 and all(map(is_running, pids))
        parent.kill()
        parent.wait()
    until(lambda: not any(map(is_running, pids)))


def test_the_working_directory_is_nobodys_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longdesk is run in checkouts of strangers: what lies there must not be imported."""
    for name in ("json.py", "engine.py", "tests.py", "ctypes.py"):
        (tmp_path / name).write_text("raise SystemExit('a stranger speaks')")
    monkeypatch.chdir(tmp_path)
    child = Child(ODD)
    child.send({"do": "echo"})
    assert child.receive() is not None
    child.close()


_KEYS = ("OPENAI_API_KEY", "LONGDESK_TOKEN", "HF_TOKEN", "aws_secret_access_key", "OFFICE_PASSWORD", "SSH_AUTH_SOCK")


def test_a_child_has_no_key_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _KEYS:
        monkeypatch.setenv(name, "a secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    child = Child(ODD)
    child.send({"do": "echo"})
    assert child.receive() is not None
    given = psutil.Process(child.pid).environ()
    child.close()
    assert "a secret" not in given.values() and given["CUDA_VISIBLE_DEVICES"] == "1" and given["PATH"]


def test_the_kernel_takes_a_child_first(child: Child) -> None:
    child.send({"do": "offer"})
    child.receive()
    assert int(Path(f"/proc/{child.pid}/oom_score_adj").read_text()) == 900


def test_the_kernel_refuses_tiles_to_a_process_that_leaves_them_alone() -> None:
    """Where it has none, it refuses them to every process."""
    ask = "import ctypes; raise SystemExit(ctypes.CDLL(None).syscall(158, 0x1023, 18) == 0)"  # ARCH_REQ_XCOMP_PERM
    alone = f"from engine.child import leave_amx_alone; leave_amx_alone(); {ask}"
    if sys.platform == "linux" and platform.machine() == "x86_64":
        root = Path(__file__).resolve().parents[2]
        assert subprocess.run([sys.executable, "-c", alone], cwd=root, check=False).returncode == 0


def test_children_take_the_c_interface_of_llama_cpp_alone() -> None:
    """The package brings chat formats, jinja2 and SQLite with it, in memory and time that no child has to spare."""
    code = (
        "import sys\n"
        "from engine.child import _leave_chat_formats_out\n"
        "_leave_chat_formats_out()\n"
        "import llama_cpp\n"
        "assert 'llama_cpp.llama_cpp' not in sys.modules  # before something of it is asked for\n"
        "llama_cpp.llama_backend_init()\n"
        "from llama_cpp import mtmd_cpp\n"
        "import llama_cpp.llama_cpp as all_of_it\n"
        "assert llama_cpp.llama_decode is all_of_it.llama_decode and mtmd_cpp.mtmd_default_marker()\n"
        "assert not hasattr(llama_cpp, 'no_such_name')\n"
        "assert not {'llama_cpp.llama', 'jinja2', 'sqlite3'} & set(sys.modules), 'too much'\n"
    )
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, encoding="utf-8", check=False)
    assert ended.returncode == 0, ended.stderr


SHORT = Patience(still_s=0.1, silent_s=1e6)


@pytest.mark.parametrize("do", ["stop", "half a frame, then stop", "sleep"])
def test_a_child_that_stands_still_is_ended_and_says_so(child: Child, do: str) -> None:
    child.send({"do": do})
    with pytest.raises(EngineKilled, match=r"did not answer for 0 seconds and was ended\. Ask again"):
        child.receive(patience=lambda: SHORT)
    assert not child.alive and not zombies()


def test_a_child_that_goes_round_in_circles_is_ended_too(child: Child) -> None:
    child.send({"do": "spin"})
    with pytest.raises(EngineKilled, match="did not stop for"):
        child.receive(patience=lambda: Patience(still_s=1e6, silent_s=0.2, what="stop"))
    assert not child.alive and not zombies()


def test_a_child_that_works_is_waited_for(child: Child) -> None:
    child.send({"do": "spin"})
    for _ in range(10):
        assert child.receive(0.1, patience=lambda: Patience(still_s=0.3, silent_s=1e6)) is None
    assert child.alive


def test_what_nobody_takes_is_not_sent_for_ever(child: Child) -> None:
    child.send({"do": "stop"})
    with pytest.raises(EngineKilled, match="did not answer"):
        child.send({"do": "echo"}, b"x" * (8 << 20), patience=lambda: SHORT)
    assert not child.alive and not zombies()


def test_patience_may_grow_short_while_one_waits(child: Child) -> None:
    """Stop comes while megabytes are on their way."""
    child.send({"do": "stop"})
    looked = []

    def patience() -> Patience:
        looked.append(True)
        return Patience(still_s=0.05, silent_s=1e6) if len(looked) > 4 else Patience(still_s=0.2, silent_s=1e6)

    with pytest.raises(EngineKilled):
        child.send({"do": "echo"}, b"x" * (8 << 20), patience=patience)


def test_closing_ends_a_stopped_child_whose_pipe_is_full(child: Child) -> None:
    child.send({"do": "stop"})
    writer = Thread(target=lambda: pytest.raises(EngineDied, child.send, {"do": "echo"}, b"x" * (8 << 20)))
    writer.start()
    time.sleep(0.05)
    child.kill()
    writer.join()
    child.close()
    assert not child.alive and not zombies()


def test_a_child_that_writes_without_end_takes_no_room(child: Child) -> None:
    """64 MB of words, of which the last ones are kept, in memory alone."""
    child.send({"do": "flood", "times": 1_000})
    with pytest.raises(EngineDied, match="ended with exit code 1: last error: it broke"):
        child.receive()
    assert len(child._words._kept) <= 8 << 10


def test_who_was_killed_from_outside_is_told_from_who_crashed(child: Child) -> None:
    child.send({"do": "signal", "signal": signal.SIGKILL})
    with pytest.raises(EngineKilled):
        child.receive()
    other = Child(ODD)
    other.send({"do": "segfault"})
    with pytest.raises(EngineDied) as caught:
        other.receive()
    assert not isinstance(caught.value, EngineKilled)
    other.close()


def test_one_that_nobody_closes_ends_with_its_last_user() -> None:
    """A warning of Python's about a process that is still running, or about open pipes, would fail this test."""
    dropped = Child(ODD)
    pid = dropped.pid
    del dropped
    gc.collect()
    assert not is_running(pid) and pid not in zombies()
