"""Which model a --model value means to an engine on GPUs elsewhere, and whose vocabulary here counts for it.

A name (scout, maverick-bf16) is the published checkpoint; a folder with a config.json and a GGUF file speak for
themselves. What a GGUF's catalogue name means to llama.cpp is `places`'.
"""

from dataclasses import dataclass
from pathlib import Path

from app.models.places import find_entry, gguf_files, list_models
from app.settings import STARTER, Settings, expanded, is_path
from engine.errors import UsageError
from engine.memory.catalog.entry import find
from engine.memory.cluster.gguf_model import model_of_gguf
from engine.memory.cluster.hf_config import read_model
from engine.memory.cluster.llama4 import llama4
from engine.memory.cluster.served import ServedModel

USUAL = "scout"  # where no model is named


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """model: the --model value whose vocabulary counts. is_own: it is the served model's; else counts are estimates."""

    model: str
    is_own: bool


def served_model(name: str, settings: Settings) -> ServedModel:
    """Raises UsageError for a name that nothing has and for a GGUF of the catalogue, ModelRefused for files that cannot
    be used."""
    if name == STARTER:
        name = USUAL
    if name.startswith(("http://", "https://")):
        raise UsageError("A server that runs already has its own plan.", f"Leave --engine out: plan --model {name}.")
    path = expanded(Path(name))
    if is_path(path, name):
        return read_model(path) if path.is_dir() else model_of_gguf(path)
    if model := llama4(name):
        return model
    if (entry := find(name)) is not None:
        title = entry.name.partition("-")[0]
        raise UsageError(
            f"{entry.name} is a GGUF, and these engines load published checkpoints of {entry.model}.",
            f"Name {title} with --weights int4, fp8 or bf16, or use --engine llamacpp.",
        )
    find_entry(name)
    raise AssertionError(name)  # find_entry knew no such name either, and said so


def vocabulary_of(name: str, title: str, settings: Settings) -> Vocabulary:
    """The model's own, where a GGUF of it lies on this machine; else the starter's. title: what the catalogue calls
    it."""
    path = expanded(Path(name))
    if path.is_file():
        return Vocabulary(str(path), True)
    if path.is_dir() and is_path(path, name):
        here = next(gguf_files([path]), None)
        return Vocabulary(str(here), True) if here else Vocabulary(STARTER, False)
    for placed in list_models(settings.home, settings.models):
        if placed.path is not None and placed.entry.model == title:
            return Vocabulary(str(placed.path), True)
    return Vocabulary(STARTER, False)
