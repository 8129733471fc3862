"""What a model's makers say of how it is sampled: the general.sampling fields of its GGUF, or a generation_config.json
beside it. Whether that is used is left to whoever asks; only that the model thinks is found out here.

llama.cpp's converter copies these fields out of generation_config.json, whose file leaves out what is transformers'
default: where makers name how tokens are cut off (top-k, top-p, min-p) and no temperature, they sample at 1.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.gguf import Header

CONFIG = "generation_config.json"
_PREFIX = "general.sampling."
_MOST_BYTES = 1 << 20
# by our names: GGUF's name, those of generation_config.json, its type, the least and the most that makes sense
_FIELDS: dict[str, tuple[str, tuple[str, ...], type, float, float]] = {
    "temperature": ("temp", ("temperature",), float, 0, 10),
    "top_k": ("top_k", ("top_k",), int, 0, 1_000_000),
    "top_p": ("top_p", ("top_p",), float, 0, 1),
    "min_p": ("min_p", ("min_p",), float, 0, 1),
    "repeat_penalty": ("penalty_repeat", ("repetition_penalty", "penalty_repeat"), float, 0.1, 10),
    "repeat_last_n": ("penalty_last_n", ("penalty_last_n",), int, -1, 1_000_000),
    "mirostat": ("mirostat", ("mirostat",), int, 0, 2),
    "mirostat_tau": ("mirostat_tau", ("mirostat_tau",), float, 0, 100),
    "mirostat_eta": ("mirostat_eta", ("mirostat_eta",), float, 0, 100),
    "xtc_probability": ("xtc_probability", ("xtc_probability",), float, 0, 1),
    "xtc_threshold": ("xtc_threshold", ("xtc_threshold",), float, 0, 1),
}
_WORDS = {"top_k": "top-k", "top_p": "top-p", "min_p": "min-p", "repeat_last_n": "repeat window"}
_CUTS = ("top_k", "top_p", "min_p")
_THINKS = re.compile(r"think|thought|reasoning|<\|?channel", re.IGNORECASE)  # in a chat template
_MARKS = (b"<think>", b"</think>", b"[THINK]", b"<|channel|>", b"<|think|>", b"<thought>", "◁think▷".encode())
_SPLIT = re.compile(r"-\d{5}-of-\d{5}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Makers:
    """What they say; None for what they do not. See Sampling for what each is.

    said_in: the file that says it, '' where they say nothing: 'gguf', or CONFIG. thinks: the model writes down what it
    thinks before it answers. unread: fields whose values make no sense, or that are not known here.
    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    said_in: str = ""
    thinks: bool = False
    unread: tuple[str, ...] = ()

    @property
    def said(self) -> dict[str, float]:
        """What they say, by our names."""
        return {name: value for name, value in asdict(self).items() if name in _FIELDS and value is not None}

    @property
    def used(self) -> dict[str, float]:
        """What of it holds where the user says nothing else: all of it for a model that thinks, which would go round in
        circles without; nothing for others, which answer from documents best without chance."""
        return self.said if self.thinks else {}

    @property
    def words(self) -> str:
        """What they say: "temperature 0.6, top-k 20"; '' for nothing."""
        return ", ".join(f"{_WORDS.get(name) or name.replace('_', ' ')} {value:g}" for name, value in self.said.items())

    @property
    def sentence(self) -> str:
        """What they say, and whether it is used, in a sentence; '' for nothing."""
        if not self.said:
            return ""
        where = f" ({self.said_in})" if self.said_in == CONFIG else ""
        if self.used:
            return f"Sampled as the model's makers say where nothing else is set: {self.words}{where}."
        return (
            f"The model's makers say {self.words}{where}. It does not think before it answers, and is asked without "
            "chance, at temperature 0, where nothing else is set."
        )

    def to_json(self) -> dict[str, Any] | None:
        """As documents of the command line have it; None where they say nothing."""
        if not self.said and not self.unread:
            return None
        return {**self.said, "said_in": self.said_in, "used": bool(self.used), "unread": list(self.unread)}


def makers_of(header: Header, template: str = "") -> Makers:
    """What stands in a model's first file, else beside it. template: that it would be asked with."""
    values = {key.removeprefix(_PREFIX): value for key, value in header.metadata.items() if key.startswith(_PREFIX)}
    found = _read(values, {told: name for name, (told, *_) in _FIELDS.items()}, "gguf")
    if not found.said and (config := _config_beside(header.path)):
        found = _from_config(config)
    return replace(found, thinks=_thinks(header, template))


def _from_config(config: Mapping[str, Any]) -> Makers:
    names = {told: name for name, (_, others, *_) in _FIELDS.items() for told in others}
    found = _read({key: value for key, value in config.items() if key in names}, names, CONFIG)
    if config.get("do_sample") is False:  # then transformers does not look at how it would
        return replace(found, temperature=0.0, top_k=None, top_p=None, min_p=None, said_in=CONFIG)
    return found


def _read(values: Mapping[str, Any], names: Mapping[str, str], said_in: str) -> Makers:
    said: dict[str, Any] = {}
    unread = []
    for key, value in values.items():
        name = names.get(key)
        if name == "top_k" and value == -1:  # another way to say that nothing is cut off
            value = 0
        if name is None or not _makes_sense(name, value):
            if value is not None:
                unread.append(key)
            continue
        said[name] = _FIELDS[name][2](value) if _FIELDS[name][2] is int else round(float(value), 6)  # from 32 bits
    if any(name in said for name in _CUTS):
        said.setdefault("temperature", 1.0)
    return Makers(**said, said_in=said_in if said else "", unread=tuple(unread))


def _makes_sense(name: str, value: Any) -> bool:
    _, _, kind, least, most = _FIELDS[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or (kind is int and value != int(value)):
        return False
    return least <= value <= most  # which no nan is


def _config_beside(path: Path) -> dict[str, Any]:
    """The generation_config.json of the folder, where that is of this model: no other has its file there."""
    beside = path.with_name(CONFIG)
    with suppress(OSError, ValueError, RecursionError):
        if not beside.is_file() or beside.stat().st_size > _MOST_BYTES or any(_others(path)):
            return {}
        told = json.loads(beside.read_text(encoding="utf-8"))
        return told if isinstance(told, dict) else {}
    return {}


def _others(path: Path) -> Iterator[Path]:
    own = _SPLIT.sub("", path.stem)
    for each in path.parent.glob("*.gguf"):
        if "mmproj" not in each.name.casefold() and _SPLIT.sub("", each.stem) != own:
            yield each


def _thinks(header: Header, template: str) -> bool:
    """By its chat template, else by marks that its vocabulary has for that."""
    if _THINKS.search(template):
        return True
    tokens = header.strings("tokenizer.ggml.tokens").data
    return any(mark in tokens for mark in _MARKS)
