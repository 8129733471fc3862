"""llama.cpp's own HTTP server, the real one, in a process of its own: the wheel xllamacpp brings it.

`python -m tests.llama_cpp_server`, with a job as JSON coming in, serves until the other side closes the pipe.
"""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from tests.models.cache import REPO
from tests.models.probe import ENVIRONMENT
from tests.patience import PATIENCE_S, until


class LlamaCppServer:
    """A server that runs. url: where it listens. To be closed."""

    def __init__(
        self, model: Path, *, n_ctx: int = 2048, projector: Path | None = None, n_slots: int = 1, key: str = ""
    ) -> None:
        """key: that it wants, "" for none. n_ctx: of each slot."""
        self.model = model
        self._key = key
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.llama_cpp_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            cwd=REPO,
            env=ENVIRONMENT,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        job = {"model": str(model), "n_ctx": n_ctx, "n_slots": n_slots, "key": key}
        self.process.stdin.write(json.dumps({**job, "projector": str(projector) if projector else ""}) + "\n")
        self.process.stdin.flush()
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"llama.cpp's server did not start (exit status {self.process.wait()}).")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """What it answers, asked with nothing of ours."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        with httpx2.Client(base_url=self.url, timeout=PATIENCE_S, headers=headers) as client:
            answer = client.get(path) if body is None else client.post(path, json=body)
            answer.raise_for_status()
            return answer.json()

    @property
    def busy(self) -> int:
        """Slots that work, by the server's own word."""
        return sum(slot["is_processing"] for slot in self.call("/slots"))

    def rest(self) -> None:
        """Waits until nothing runs."""
        until(lambda: not self.busy)

    def kill(self) -> None:
        """Ends it at once, in whatever it does."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.communicate()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def serve() -> None:
    """The child."""
    import xllamacpp

    job = json.loads(sys.stdin.readline())
    params = xllamacpp.CommonParams()
    params.model.path = job["model"]
    if job["projector"]:
        params.mmproj.path = job["projector"]
    if job["key"]:
        params.api_keys = [job["key"]]
    params.n_ctx = job["n_ctx"] * job["n_slots"]
    params.n_parallel = job["n_slots"]
    params.n_batch = params.n_ubatch = 64  # so that it tells often how far it is, and hears soon of a cancel
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = 1  # several would wait for each other where others keep the cores busy
    params.warmup = False
    params.endpoint_slots = True
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve()
