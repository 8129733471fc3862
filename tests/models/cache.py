"""Builds each test model once per set of parameters, and hands out its path.

Models lie in .models/ at the repository's root, which git ignores, or where LONGDESK_TEST_MODELS points. A file's name
holds a hash of the builder, its VERSION and all its parameters, defaults included: a builder that changes raises its
VERSION and is run anew. Old files stay until the folder is deleted.
"""

import hashlib
import importlib
import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
BUILDERS = ("scout", "llama", "gemma3")


def folder() -> Path:
    """Where built models are kept."""
    return Path(os.environ.get("LONGDESK_TEST_MODELS") or REPO / ".models")


def builder(name: str) -> Callable[..., Path]:
    """The function build_<name> of the module of that name."""
    if name not in BUILDERS:
        raise ValueError(f"no builder {name!r}; there are {', '.join(BUILDERS)}")
    build: Callable[..., Path] = getattr(importlib.import_module(f"tests.models.{name}"), f"build_{name}")
    return build


def cached(name: str, **parameters: Any) -> Path:
    """The path of a model, built now if it is not there yet: cached("scout", n_expert=16).

    Safe when several processes ask at once: each writes its own file and renames it in.
    """
    build = builder(name)
    version: int = importlib.import_module(build.__module__).VERSION
    bound = inspect.signature(build).bind(Path(), **parameters)
    bound.apply_defaults()
    key = json.dumps([name, version, bound.kwargs], sort_keys=True)
    path = folder() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.gguf"
    return path if path.exists() else build(path, **parameters)
