"""vLLM's own server, in its own environment and process."""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from tests.models.cache import REPO
from tests.patience import until

WINDOW = 2_048


def python() -> str:
    """The Python that has vLLM."""
    return os.environ.get("LONGDESK_VLLM_PYTHON", str(REPO / ".venv-vllm" / "bin" / "python"))


class VllmServer:
    """A server that runs. url: where it listens. To be closed."""

    def __init__(self, folder: Path) -> None:
        """folder: for the model, and for what it says."""
        model = folder / "tiny-llama"
        subprocess.run([python(), str(REPO / "tests" / "vllm" / "model.py"), str(model)], check=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url, self.log = f"http://127.0.0.1:{port}", folder / "vllm.log"
        arguments = ["--model", str(model), "--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
        arguments += ["--max-model-len", str(WINDOW), "--enforce-eager", "--dtype", "float32"]
        arguments += ["--max-num-batched-tokens", "256", "--max-num-seqs", "2", "--enable-prompt-tokens-details"]
        environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        environment["VLLM_HOST_IP"] = "127.0.0.1"  # or it looks up a way to an outside address to learn its own
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [python(), "-m", "vllm.entrypoints.openai.api_server", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        until(self._answers, every_s=0.5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def metric(self, name: str) -> float:
        """What it says of itself under this name."""
        page = httpx2.get(f"{self.url}/metrics").text
        values = [float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(f"vllm:{name}{{")]
        return sum(values)

    def cache_tokens(self) -> int:
        """`kv_cache_size_tokens` of its cache_config_info."""
        page = httpx2.get(f"{self.url}/metrics").text
        return int(page.partition('kv_cache_size_tokens="')[2].partition('"')[0])

    @property
    def busy(self) -> bool:
        return self.metric("num_requests_running") + self.metric("num_requests_waiting") > 0

    def kill(self) -> None:
        """Ends it and its own processes at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        self.process.wait()

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            sys.exit(f"vLLM ended while it started:\n{self.log.read_text(errors='replace')[-4000:]}")
        with suppress(httpx2.HTTPError):
            return httpx2.get(f"{self.url}/health").status_code == 200
        return False
