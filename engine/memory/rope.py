"""A window that is stretched: RoPE scaling that the user asks for, so that a context may be larger than the window.

What the model declares itself is replaced by it, never multiplied with it. Arithmetic: llama.cpp, src/llama-context.cpp
(rope_freq_scale of a context stands in for the model's) and the YaRN paper, https://arxiv.org/abs/2309.00071.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import UsageError

NONE, LINEAR, YARN = "none", "linear", "yarn"
SCALINGS = (NONE, LINEAR, YARN)
MOST = 4.0  # times the trained window: what advice goes up to
# llama.cpp's llama_model_rope_type: without rotary positions at all
_UNTURNED = frozenset(
    ("gpt2", "gptj", "mpt", "refact", "bloom", "mamba", "mamba2", "jamba", "jais", "rwkv6", "rwkv6qwen2", "rwkv7",
     "arwkv7", "nemotron_h", "nemotron_h_moe", "kimi-linear")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rope:
    """The scaling of a context: factor times the `trained` tokens that it is reckoned from."""

    scaling: str
    factor: float
    trained: int

    @property
    def stamp(self) -> str:
        """Tells keys that were turned otherwise apart."""
        return f"{self.scaling} {self.factor:.6g} of {self.trained}"


@dataclass(frozen=True, slots=True)
class Declared:
    """What a model says of its own positions. scaling: '' without one, else llama.cpp's name for it, and its factor.

    trained: tokens that it was trained for before any scaling. turns: it has rotary positions, which can be scaled.
    has_factors: it has factors of its own for long contexts.
    """

    scaling: str = ""
    factor: float = 1.0
    trained: int = 0
    turns: bool = True
    has_factors: bool = False

    @property
    def is_scaled(self) -> bool:
        return self.scaling in (LINEAR, YARN)

    @property
    def stretches(self) -> bool:
        """Whether its window can be stretched."""
        return self.turns and not self.has_factors


def declared_rope(metadata: Mapping[str, object], tensors: Collection[str], architecture: str, window: int) -> Declared:
    """What the fields of a model's first file say, and the names of all its tensors."""
    prefix = f"{architecture}.rope.scaling"
    said, factor = metadata.get(f"{prefix}.type"), _number(metadata, f"{prefix}.factor")
    scaling = said if isinstance(said, str) else ""
    if not scaling and (linear := _number(metadata, f"{architecture}.rope.scale_linear")) > 1:
        scaling, factor = LINEAR, linear
    trained = window
    if scaling in (LINEAR, YARN):
        original = metadata.get(f"{prefix}.original_context_length")
        trained = original if isinstance(original, int) and original > 0 else round(window / max(1.0, factor))
    return Declared(
        scaling="" if scaling == NONE else scaling,
        factor=factor,
        trained=min(window, trained) or window,
        turns=architecture not in _UNTURNED and "position_embd.weight" not in tensors,
        has_factors=any("rope_factors_long" in name for name in tensors),
    )


def stretch(declared: Declared, name: str, window: int, scaling: str, n_ctx: int | None) -> tuple[Rope | None, str]:
    """The scaling for a context of so many tokens, None for the model's own, and a sentence on what that means.

    Raises UsageError where the model's positions cannot be scaled so.
    """
    if not declared.turns:
        raise UsageError(
            f"{name} has no rotary positions, so --rope-scaling changes nothing of it.", "Leave --rope-scaling out."
        )
    wider = n_ctx is not None and n_ctx > window
    if scaling == NONE:
        if not wider and not declared.is_scaled:
            return None, f"--rope-scaling none changes nothing within the window of {window:,} tokens."
        return Rope(NONE, 1.0, declared.trained), _unscaled(declared, window, n_ctx or declared.trained)
    if not wider or n_ctx is None:
        return None, (
            f"--rope-scaling {scaling} changes nothing within the window of {window:,} tokens: a context beyond it is "
            "asked for with --ctx."
        )
    if declared.has_factors:
        raise UsageError(
            f"{name} brings factors of its own for long contexts: {scaling} scaling on top would turn its positions "
            "twice.",
            f"Use a context of at most {window:,} tokens.",
        )
    factor = n_ctx / declared.trained
    own = ""
    if declared.is_scaled:
        own = (
            f" It stands in for the model's own {declared.scaling} scaling from {declared.trained:,}, not on top of it."
        )
    return Rope(scaling, factor, declared.trained), (
        f"The window is stretched from {window:,} to {n_ctx:,} tokens by {scaling} RoPE scaling, "
        f"factor {factor:.4g} of the {declared.trained:,} that the model was trained for.{own} "
        "It was not trained so: expect worse answers, in short prompts too; `longdesk reading` shows how far it reads."
    )


def rope_from(fields: Mapping[str, Any] | None) -> Rope | None:
    """From what dataclasses.asdict made of it, after a way through JSON."""
    return None if fields is None else Rope(**fields)


def _unscaled(declared: Declared, window: int, n_ctx: int) -> str:
    off = f"The model's own {declared.scaling} scaling is switched off. " if declared.is_scaled else ""
    if n_ctx > declared.trained:
        return (
            f"{off}A context of {n_ctx:,} tokens goes beyond the {declared.trained:,} that the model was trained for, "
            "with no scaling: most models write nonsense there."
        )
    return f"{off}It was trained for {declared.trained:,} tokens without it."


def _number(metadata: Mapping[str, object], key: str) -> float:
    value = metadata.get(key)
    return float(value) if isinstance(value, int | float) and value == value and value > 0 else 1.0
