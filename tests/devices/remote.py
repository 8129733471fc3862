"""GPUs in processes of their own: `python -m tests.devices.remote PORT` is one, with the memory that GPU_BYTES says.

llama.cpp's RPC back end computes there on the CPU; to a process that loads a model it is a device of type GPU with its
own memory. A server takes one process at a time.
"""

import ctypes
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import llama_cpp

from tests.patience import PATIENCE_S, until

_HERE = Path(__file__).parent


def available() -> str:
    """What is missing for remote GPUs here; empty where they can be had."""
    if not hasattr(llama_cpp.llama_cpp._lib, "ggml_backend_rpc_add_server"):
        return "llama.cpp was built without its RPC back end"
    if sys.platform != "linux" or shutil.which("cc") is None:
        return "counting a remote GPU's memory needs Linux and a C compiler"
    return ""


@contextmanager
def remote_gpus(n_bytes: Sequence[int], *, folder: Path) -> Iterator[dict[str, str]]:
    """Starts a GPU for each size, and gives the environment of processes that shall see them."""
    counter = folder / "memory.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", counter, _HERE / "memory.c", "-ldl"], check=True)
    ports = [_free_port() for _ in n_bytes]
    servers = [_start(port, size, counter) for port, size in zip(ports, n_bytes, strict=True)]
    try:
        for port in ports:
            _wait_for(port)
        path = os.pathsep.join(filter(None, (str(_HERE / "hook"), os.environ.get("PYTHONPATH"))))
        endpoints = ",".join(f"127.0.0.1:{port}" for port in ports)
        yield {**os.environ, "PYTHONPATH": path, "LONGDESK_TEST_GPUS": endpoints}
    finally:
        for server in servers:
            server.kill()
            server.wait()


def _start(port: int, n_bytes: int, counter: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "GPU_BYTES": str(n_bytes),
        "LD_PRELOAD": str(counter),
        "MALLOC_MMAP_THRESHOLD_": "65536",  # so that freed buffers go back at once, as a GPU's do
    }
    command = [sys.executable, "-m", "tests.devices.remote", str(port)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, cwd=_HERE.parents[1])


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(port: int) -> None:
    def answers() -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), PATIENCE_S).close()
            return True
        return False

    until(answers, every_s=0.05)


def _serve(port: str) -> None:
    """Never returns."""
    library = llama_cpp.llama_cpp._lib
    library.ggml_backend_dev_by_type.restype = ctypes.c_void_p
    devices = (ctypes.c_void_p * 1)(library.ggml_backend_dev_by_type(0))
    start = library.ggml_backend_rpc_start_server
    start.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p)
    start(f"127.0.0.1:{port}".encode(), None, 1, len(devices), ctypes.addressof(devices))


if __name__ == "__main__":
    _serve(sys.argv[1])
