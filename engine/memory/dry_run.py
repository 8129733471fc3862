"""The dry run: llama.cpp itself says what a placement takes, without a weight being read or a buffer allocated.

The parent's side: asks a child process (`dry_child`), and keeps the answers in a folder by what they depend on. What a
plan makes of them is left to `planner`. Source: no_alloc of llama_model_params, and llama.cpp's log.
"""

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import blake2b
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock
from typing import Any

from engine.child import Child, Frame
from engine.errors import EngineDied, EngineFailed, ModelRefused, UsageError
from engine.memory.budget import Device, Measured, Placement, devices_from
from engine.memory.card import ModelCard

_PATIENCE_S = 60.0  # a header of 200,000 tokens and 10 million cells take about a second
_VERSION = 1  # raise it when what is measured changes, so that old answers are not used
# What a real run adds to the growth that the dry run measures: pages of code and of thread stacks that it does not
# touch. 4.1 to 7.1 MiB on seven settings of four small models.
_UNTOUCHED_BYTES = 6 << 20

_ASSERTED = re.compile(r"GGML_ASSERT\(.*\)")
_BACK_END = re.compile(r"ggml-([a-z]+)")
_SPEAKER = re.compile(r"\b(?:llama|ggml)_\w+: ")  # the function that a line of llama.cpp's log names first


class DryRun:
    """One child for all models of this process, started when an answer is not known yet. Safe from several threads."""

    def __init__(self, cache: Path | None = None) -> None:
        """cache: a folder that outlives this process; None keeps answers in memory only."""
        self._folder = cache / "dry-run" if cache is not None else None
        self._known: dict[tuple[str, str], Measured] = {}
        self._gpu_names: list[str] | None = None  # what is measured depends on them too
        self._child: Child | None = None
        self._is_over = False
        self._lock = Lock()

    def measure(self, card: ModelCard, placement: Placement) -> Measured:
        """What a placement takes.

        Raises ModelRefused where llama.cpp does not load the model or fails an assertion on it, UsageError where it
        makes no such context of it, EngineFailed where it breaks off otherwise.
        """
        placement = replace(placement, repack=False)  # it moves weights, and none are there
        if self._gpu_names is None:
            self.gpus()
        if self._gpu_names is None:  # they cannot be told now: nothing is kept as measured without
            with self._lock:
                return self._ask_for(card, placement)
        model, key = _digest(card), json.dumps([self._gpu_names, asdict(placement)], sort_keys=True)
        with self._lock:
            if (model, key) not in self._known:
                self._known.update({(model, kept): value for kept, value in self._read(model).items()})
            if (model, key) not in self._known:
                self._known[model, key] = self._ask_for(card, placement)
                self._write(model)
            return self._known[model, key]

    def gpus(self) -> tuple[Device, ...]:
        """The GPUs that llama.cpp would use, and their free memory now; see engine.memory.gpus."""
        gpus: tuple[Device, ...] = ()
        if has_gpu_back_ends():
            try:
                with self._lock:
                    gpus = devices_from(self._ask({"do": "devices"}).fields["gpus"])
            except EngineFailed:  # a driver that breaks off leaves the CPU, this time
                self._gpu_names = None
                return ()
        self._gpu_names = [gpu.name for gpu in gpus]
        return gpus

    def start(self) -> None:
        """Starts the child, so that it loads llama.cpp while others work. Raises EngineFailed without a process."""
        with self._lock:
            if self._child is None and not self._is_over:
                self._child = Child("engine.memory.dry_child")

    @property
    def pid(self) -> int | None:
        """The child's process id while it lives: what it holds comes back when it ends."""
        child = self._child
        return child.pid if child is not None and child.alive else None

    def close(self, *, for_good: bool = False) -> None:
        """Ends the child; it starts again when it is needed. for_good: not ahead of that any more."""
        with self._lock:
            self._is_over = for_good
            self._end()

    def _ask_for(self, card: ModelCard, placement: Placement) -> Measured:
        fields = self._ask({"do": "measure", "model": str(card.path), "placement": asdict(placement)}).fields
        match fields.get("refused"):
            case "model":
                raise ModelRefused(
                    f"llama.cpp cannot load {card.path}: {fields['words'] or 'it does not say why'}",
                    "Use another conversion of the model.",
                )
            case "context":
                raise UsageError(
                    f"llama.cpp makes no context of {placement.n_ctx:,} tokens with {placement.kv_type} KV of "
                    f"{card.name}: {_reason(card, placement, fields['words'])}.",
                    "Use --kv f16." if placement.kv_type != "f16" else "Use another --ctx.",
                )
        buffers = tuple(sorted(fields["buffers"].items()))
        return Measured(fields["kv_bytes"], buffers, fields["runtime_bytes"] + _UNTOUCHED_BYTES)

    def _ask(self, fields: dict[str, Any]) -> Frame:
        """One question to the child. Raises EngineFailed when it breaks off or takes a minute."""
        if self._child is not None and not self._child.alive:  # it leaves when nobody asks for a while
            self._end()
        child, is_new = self._child or Child("engine.memory.dry_child"), self._child is None
        self._child = child
        try:
            child.send(fields)
            frame = child.receive(_PATIENCE_S)
        except EngineDied as error:
            self._end()
            if child.has_left and not is_new:  # just now
                return self._ask(fields)
            if (asserted := _ASSERTED.search(error.fact)) and "model" in fields:
                raise ModelRefused(
                    f"llama.cpp breaks off on {fields['model']}: {asserted[0]} failed.",
                    "Use another conversion of the model.",
                ) from None
            raise
        if frame is None:
            child.kill()
            self._end()
            raise EngineFailed(f"llama.cpp did not answer within {_PATIENCE_S:.0f} seconds.")
        return frame

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _read(self, model: str) -> dict[str, Measured]:
        """The answers kept for a model; a file that cannot be read costs the next plan a second, nothing else."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            if self._folder is not None:
                kept = json.loads((self._folder / f"{model}.json").read_text())
                return {key: _measured(fields) for key, fields in kept.items()}
        return {}

    def _write(self, model: str) -> None:
        if self._folder is None:
            return
        known = {key: asdict(measured) for (of, key), measured in self._known.items() if of == model}
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile("w", dir=self._folder, delete=False) as file:
                try:
                    json.dump(known, file)
                    file.flush()
                    os.replace(file.name, self._folder / f"{model}.json")
                except OSError:  # a full disk
                    os.unlink(file.name)


def has_gpu_back_ends() -> bool:
    """Whether llama.cpp was built with more than its CPU back end: each is a library of its own."""
    spec = find_spec("llama_cpp")
    folders = [Path(folder) / "lib" for folder in spec.submodule_search_locations or ()] if spec else []
    names = {
        match[1] for folder in folders for path in folder.glob("*ggml-*") if (match := _BACK_END.search(path.name))
    }
    return bool(names - {"base", "cpu", "blas"})


def _measured(fields: dict[str, Any]) -> Measured:
    buffers = tuple((str(name), int(n_bytes)) for name, n_bytes in fields["buffers"])
    return Measured(int(fields["kv_bytes"]), buffers, int(fields["runtime_bytes"]))


def _digest(card: ModelCard) -> str:
    """What an answer depends on beside the placement: the headers of all parts, and llama.cpp itself."""
    digest = blake2b(f"{_VERSION} {version('llama-cpp-python')}".encode(), digest_size=16)
    for part in card.files:
        digest.update(part.header_digest.encode())
    return digest.hexdigest()


def _reason(card: ModelCard, placement: Placement, words: str) -> str:
    """Why llama.cpp makes no context, from its own words, or by the rule that it does not speak of."""
    return _SPEAKER.sub("", words).rstrip(". ") or f"it does not say why ({card.architecture}, {placement.kv_type})"
