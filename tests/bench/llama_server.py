"""llama.cpp's own HTTP server, the yardstick for asking again: in a process of its own, on the loopback device.

It comes with the wheel xllamacpp, whose llama.cpp is built for any processor of its kind and may be newer than ours.
Prompts go in as ids, so that both get the same ones. `python -m tests.bench.llama_server`, with a JSON line coming in.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from tests.models.cache import REPO
from tests.models.probe import ENVIRONMENT

_TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Served:
    """One answer: seconds from the request to the first token, tokens of the prompt and from cache, the reply's ids."""

    ttft_s: float
    prompt_tokens: int
    reused_tokens: int
    reply_ids: tuple[int, ...]

    @property
    def decoded(self) -> int:
        """Tokens of the prompt that were decoded."""
        return self.prompt_tokens - self.reused_tokens


class LlamaServer:
    """A running server with one slot. To be closed."""

    def __init__(
        self, model: Path, *, n_ctx: int, kv_type: str = "f16", n_ubatch: int = 512, n_threads: int, slots: Path
    ) -> None:
        """slots: a folder for KV states, which the server writes and reads only when it is told to."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.llama_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            cwd=REPO,
            env=ENVIRONMENT,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        job = {"model": str(model), "n_ctx": n_ctx, "kv_type": kv_type, "n_ubatch": n_ubatch, "n_threads": n_threads}
        self._process.stdin.write(json.dumps({**job, "slots": str(slots)}) + "\n")
        self._process.stdin.flush()
        address = self._process.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"llama.cpp's server did not start (exit status {self._process.wait()}).")
        self._host = address.removeprefix("http://")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, ids: Sequence[int], *, n_reply: int) -> Served:
        """Has a prompt answered greedily, keeping what its slot holds of it."""
        begun = perf_counter()
        first_at, reply, last = 0.0, [], {}
        for event in _events(self._post("/completion", _request(ids, n_reply))):
            first_at = first_at or perf_counter()
            reply += event.get("tokens", [])
            last = event
        timings = last["timings"]
        assert timings["cache_n"] + timings["prompt_n"] == len(ids), timings
        return Served(first_at - begun, len(ids), timings["cache_n"], tuple(reply))

    def save(self, name: str) -> None:
        """Writes the slot's KV state into the folder of slots."""
        json.load(self._post("/slots/0?action=save", {"filename": name}))

    def restore(self, name: str) -> float:
        """Reads it back; the seconds that took."""
        begun = perf_counter()
        json.load(self._post("/slots/0?action=restore", {"filename": name}))
        return perf_counter() - begun

    def close(self) -> None:
        self._process.communicate()

    def _post(self, path: str, body: dict[str, Any]) -> HTTPResponse:
        connection = HTTPConnection(self._host, timeout=_TIMEOUT_S)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {response.read(500)!r}")
        return response


def _request(ids: Sequence[int], n_reply: int) -> dict[str, Any]:
    return {
        "prompt": [int(each) for each in ids],
        "n_predict": n_reply,
        "temperature": 0,
        "stream": True,
        "cache_prompt": True,
        "return_tokens": True,
    }


def _events(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    """The server's events, each as soon as it is there."""
    while line := response.readline():
        if line.startswith(b"data: {"):
            yield json.loads(line.removeprefix(b"data: "))


def serve() -> None:
    """The child: reads the job, says where it listens, and serves until the other side closes the pipe."""
    import xllamacpp

    job = json.loads(sys.stdin.readline())
    params = xllamacpp.CommonParams()
    params.model.path = job["model"]
    params.n_ctx = job["n_ctx"]
    params.n_batch = params.n_ubatch = job["n_ubatch"]
    params.n_parallel = 1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type[f"GGML_TYPE_{job['kv_type'].upper()}"]
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = job["n_threads"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.slot_save_path = f"{job['slots']}/"
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve()
