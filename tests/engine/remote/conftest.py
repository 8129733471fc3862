"""Real servers that the tests here share: llama.cpp's own, with tiny models."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.corpus.formats.reader import draw
from engine.remote.backend import RemoteBackend
from engine.remote.servers import Servers
from tests.llama_cpp_server import LlamaCppServer
from tests.models.cache import cached


@pytest.fixture(scope="session")
def server(llama_gguf: Path) -> Iterator[LlamaCppServer]:
    """A Llama-shaped model: it answers nonsense at once. A slot of 2,048 tokens."""
    with LlamaCppServer(llama_gguf) as running:
        yield running


@pytest.fixture(scope="session")
def seeing_server() -> Iterator[LlamaCppServer]:
    """A Qwen-3-VL-shaped model with its projector: an image costs by its size."""
    with LlamaCppServer(cached("qwen3vl"), projector=cached("mmproj", projector="qwen3vl"), n_ctx=8192) as running:
        yield running


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    known = Servers(draw, key_for=lambda url: None)
    yield known
    known.close()


@pytest.fixture
def remote(server: LlamaCppServer, servers: Servers) -> RemoteBackend:
    server.rest()
    return servers.open(server.url)


@pytest.fixture
def seeing(seeing_server: LlamaCppServer, servers: Servers) -> RemoteBackend:
    seeing_server.rest()
    return servers.open(seeing_server.url)
