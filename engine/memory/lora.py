"""A LoRA adapter as the user names it: FILE or FILE:SCALE. What is in the file is left to `adapter`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UsageError

NO_LORA = "none"  # in place of an adapter
_MOST_SCALE = 1_000.0


@dataclass(frozen=True, slots=True)
class Lora:
    """An adapter that was asked for. scale: 1 as it was trained. model: the --model value that it goes with, '' for
    whichever is asked."""

    path: Path
    scale: float = 1.0
    model: str = ""

    def __str__(self) -> str:
        return str(self.path) if self.scale == 1 else f"{self.path}:{self.scale:g}"


def in_words(lora: Sequence[Lora]) -> str:
    """How a model is asked, by its adapters: "LoRA a.gguf at 0.5", "no LoRA"."""
    named = (f"{each.path.name}{f' at {each.scale:g}' if each.scale != 1 else ''}" for each in lora)
    return f"LoRA {' and '.join(named)}" if lora else "no LoRA"


def is_scale(number: float) -> bool:
    """Whether an adapter can be applied so; it cannot where that is no number."""
    return abs(number) <= _MOST_SCALE


def lora_named(value: str, model: str = "") -> Lora:
    """FILE or FILE:SCALE. Raises UsageError for an empty one and for a scale that is none."""
    if not value.strip():
        raise UsageError("The path after --lora is empty.", "Name an adapter's GGUF, or leave --lora out.")
    path, sign, scale = value.rpartition(":")
    if not sign or not path or Path(value).expanduser().exists():
        return Lora(Path(value).expanduser().absolute(), 1.0, model)
    try:
        number = float(scale)
    except ValueError:
        if "/" in scale or scale.endswith(".gguf"):  # the colon is the path's own
            return Lora(Path(value).expanduser().absolute(), 1.0, model)
        number = math.nan
    if not is_scale(number):
        raise UsageError(
            f"--lora {value}: {scale or 'nothing'} is no scale.",
            f"Write FILE:0.5; 1 is full, {_MOST_SCALE:g} the most.",
        )
    return Lora(Path(path).expanduser().absolute(), number, model)
