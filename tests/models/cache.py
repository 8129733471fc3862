"""Builds each test model once per set of parameters, and hands out its path.

Models lie in .models/ at the repository's root, which git ignores, or where LONGDESK_TEST_MODELS points. A file's name
holds a hash of the builder, its VERSION and all its parameters, defaults included: a builder that changes raises its
VERSION and is run anew. Old files stay until the folder is deleted.

A builder is the function build_<name>(path, shape, **options) of the module of that name; here and on the command line
the shape's fields and the options are given side by side.
"""

import hashlib
import importlib
import inspect
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
BUILDERS = ("scout", "maverick", "llama", "qwen2", "qwen3vl", "gemma3", "mamba", "hybrid", "ghost", "mmproj")


def folder() -> Path:
    """Where built models are kept."""
    return Path(os.environ.get("LONGDESK_TEST_MODELS") or REPO / ".models")


def cached(name: str, **parameters: Any) -> Path:
    """The path of a model, built now if it is not there yet: cached("scout", n_expert=16).

    Safe when several processes ask at once: each writes its own file and renames it in.
    """
    version: int = importlib.import_module(_builder(name).__module__).VERSION
    key = json.dumps([name, version, defaults(name) | parameters], sort_keys=True)
    place = folder() / "projectors" if name == "mmproj" else folder()  # beside a model, every desk would find it
    path = place / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.gguf"
    return path if path.exists() else build(name, path, **parameters)


def build(name: str, path: Path, **parameters: Any) -> Path:
    """Write a model to `path` and return it. Raises TypeError for a parameter that the builder does not have."""
    function = _builder(name)
    shape = inspect.signature(function).parameters["shape"].default
    changes = {field: parameters.pop(field) for field in asdict(shape) if field in parameters}
    return function(path, replace(shape, **changes), **parameters)


def defaults(name: str) -> dict[str, Any]:
    """What a builder takes and what it takes it for: the fields of its shape, and its options."""
    parameters = inspect.signature(_builder(name)).parameters
    options = {key: each.default for key, each in parameters.items() if each.kind is each.KEYWORD_ONLY}
    return asdict(parameters["shape"].default) | options


def _builder(name: str) -> Callable[..., Path]:
    if name not in BUILDERS:
        raise ValueError(f"no builder {name!r}; there are {', '.join(BUILDERS)}")
    function: Callable[..., Path] = getattr(importlib.import_module(f"tests.models.{name}"), f"build_{name}")
    return function
