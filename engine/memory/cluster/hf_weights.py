"""The weights of a Hugging Face folder: counted where the files are there, else reckoned from the configuration."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.memory.cluster.served import Checkpoint

_MOST_INDEX = 64 << 20
_MOST = 1 << 40  # of any number in a configuration
_BITS = {"bf16": 16.0, "fp8": 8.0, "int4": 4 + 16 / 128, "nvfp4": 4 + 8 / 16}  # with a scale for each group
_FORMATS = (
    ("nvfp4", "nvfp4"),
    ("mxfp4", "nvfp4"),
    ("fp8", "fp8"),
    ("float8", "fp8"),
    ("awq", "int4"),
    ("gptq", "int4"),
)


def checkpoints_of(config: Mapping[str, Any], text: Mapping[str, Any], folder: Path) -> tuple[Checkpoint, ...]:
    """The folder's own weights first, then what other precisions of the same model would come to."""
    own, counted = precision_of(config), _counted(folder)
    n_other, n_packed = _parameters(text)
    reckoned = {name: round(n_packed * bits / 8) + n_other * 2 for name, bits in _BITS.items()}
    first = Checkpoint(
        precision=own,
        name=str(folder),
        n_bytes=counted or reckoned[own],
        is_exact=bool(counted),
        source="the safetensors of this folder" if counted else "reckoned from config.json",
    )
    others = (
        Checkpoint(
            precision=name, name=str(folder), n_bytes=n_bytes, is_exact=False, source="reckoned from config.json"
        )
        for name, n_bytes in reckoned.items()
        if name != own
    )
    return first, *others


def precision_of(config: Mapping[str, Any]) -> str:
    """What the weights are packed to, by quantization_config; bf16 without one."""
    packed = config.get("quantization_config") or config.get("text_config", {}).get("quantization_config")
    if not isinstance(packed, Mapping):
        return "bf16"
    said = json.dumps(packed).lower()
    for word, precision in _FORMATS:
        if word in said:
            return precision
    if '"num_bits": 4' in said or '"bits": 4' in said:
        return "int4"
    return "fp8" if '"num_bits": 8' in said or '"bits": 8' in said else "bf16"


def _counted(folder: Path) -> int:
    """Bytes of the safetensors that are there; else as their index says; 0 where neither is."""
    with suppress(OSError):
        if sizes := [path.stat().st_size for path in folder.glob("*.safetensors")]:
            return sum(sizes)
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        index = folder / "model.safetensors.index.json"
        if index.stat().st_size <= _MOST_INDEX:
            total = json.loads(index.read_bytes())["metadata"]["total_size"]
            return int(total) if 0 < total < 1 << 50 else 0
    return 0


def _parameters(text: Mapping[str, Any]) -> tuple[int, int]:
    """How many stay in 16 bits (embeddings, attention, output), and how many a precision packs (feed-forward)."""

    def number(*names: str) -> int:
        found = (text.get(name) for name in names)
        return next((value for value in found if type(value) is int and 0 <= value <= _MOST), 0)

    n_layers, n_embd, n_heads = number("num_hidden_layers"), number("hidden_size"), number("num_attention_heads") or 1
    head = number("head_dim") or n_embd // n_heads
    n_kv = number("num_key_value_heads") or n_heads
    tied = bool(text.get("tie_word_embeddings"))
    other = number("vocab_size") * n_embd * (1 if tied else 2) + n_layers * n_embd * head * 2 * (n_heads + n_kv)
    n_experts = number("num_local_experts", "num_experts", "n_routed_experts")
    dense = number("intermediate_size_mlp", "intermediate_size")
    if not n_experts:
        return other, n_layers * 3 * n_embd * dense
    each = number("moe_intermediate_size", "intermediate_size")
    shared = number("n_shared_experts") * each or number("shared_expert_intermediate_size")
    if str(text.get("model_type")).startswith("llama4"):
        shared = each
    n_dense = _dense_layers(number, n_layers)
    experts = (n_layers - n_dense) * 3 * n_embd * (n_experts * each + shared)
    return other, experts + n_dense * 3 * n_embd * dense


def _dense_layers(number: Callable[..., int], n_layers: int) -> int:
    """Layers without experts: the first so many, or all but every so many-th."""
    if first := number("first_k_dense_replace"):
        return min(first, n_layers)
    step = max(1, number("interleave_moe_layer_step", "decoder_sparse_step"))
    return n_layers - n_layers // step
