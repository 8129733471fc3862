"""A model from the folder that an engine would load: config.json says its layers, the safetensors their size.

The fields are those of the transformers library's configurations. What a field means that this module does not know is
not guessed: a model whose layers keep something else than keys and values, or a fixed state, is refused in a sentence.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import ModelRefused
from engine.memory.cluster.hf_weights import checkpoints_of
from engine.memory.cluster.served import LayerKv, Sees, ServedModel

_MOST_BYTES = 4 << 20  # of config.json
_MOST_LAYERS, _MOST = 4096, 1 << 40
_KINDS = {
    "full_attention": Sees.ALL,
    "attention": Sees.ALL,
    "sliding_attention": Sees.WINDOW,
    "chunked_attention": Sees.CHUNK,
    "linear_attention": Sees.STATE,
}
# in so many layers one sees everything, the last of them, where config.json does not list the layers
_PERIODS = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "cohere2": 4, "gpt_oss": 2, "olmo3": 4}
# fields of models whose layers keep what is not known here
_UNKNOWN_CACHES = {
    "index_topk": "a sparse index beside the KV cache",
    "compress_ratios": "a compressed KV cache",
    "mamba_d_state": "Mamba states",
    "mamba_n_heads": "Mamba states",
    "ssm_state_size": "Mamba states",
    "state_size": "Mamba states",
    "hybrid_override_pattern": "Mamba states",
    "time_mix_extra_dim": "RWKV states",
    "num_memory_tokens": "memory tokens",
    "kda_num_heads": "Kimi Linear's states",
    "linear_attn_config": "Kimi Linear's states",
}


def read_model(folder: Path) -> ServedModel:
    """The model of a folder with a config.json. Raises ModelRefused for one that is missing, broken or not known."""
    return from_config(_read(folder / "config.json"), folder)


def from_config(config: Mapping[str, Any], folder: Path) -> ServedModel:
    """The same from what config.json holds. Raises ModelRefused as read_model does."""
    text = config.get("text_config", config)
    if not isinstance(text, Mapping):
        raise ModelRefused(f"{folder}/config.json is no model's: text_config is no object.", "Download it again.")
    fields = _Fields(text, folder)
    for field, what in _UNKNOWN_CACHES.items():
        if text.get(field):
            raise ModelRefused(
                f"{folder.name} keeps {what} ({field} in config.json), and Longdesk cannot say how much that takes.",
                "Start the engine: its log says how many tokens fit.",
            )
    n_heads = fields.whole("num_attention_heads")
    layers = tuple(_layers(fields, n_heads))
    exact = "layer_types" in text or not text.get("sliding_window") or fields.kind in _PERIODS or not _slides(text)
    notes = () if exact else (f"How many layers of {fields.kind} have a window is not known: all are taken in full.",)
    return ServedModel(
        name=folder.name,
        architecture=fields.kind,
        window=fields.whole("max_position_embeddings"),
        n_vocab=fields.whole("vocab_size"),
        n_embd=fields.whole("hidden_size"),
        n_ff=max(fields.whole(name, 0) for name in ("intermediate_size", "intermediate_size_mlp")) or 1,
        n_heads=n_heads,
        n_kv_heads=fields.whole("num_key_value_heads", n_heads),
        layers=layers,
        checkpoints=checkpoints_of(config, text, folder),
        n_experts=max(fields.whole(name, 0) for name in ("num_local_experts", "num_experts", "n_routed_experts")),
        sees_images="vision_config" in config,
        rope_elements=fields.whole("qk_rope_head_dim", 0) or _head_dim(fields, n_heads),
        kv_is_exact=exact,
        notes=notes,
    )


class _Fields:
    """Whole numbers of a config.json, within bounds."""

    def __init__(self, text: Mapping[str, Any], folder: Path) -> None:
        self.text, self.folder = text, folder
        self.kind = str(text.get("model_type", "model"))[:40]

    def whole(self, name: str, default: int | None = None) -> int:
        """Raises ModelRefused where it is missing without a default, or no sensible number."""
        value = self.text.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
            raise ModelRefused(
                f"{self.folder}/config.json is no language model's: {name} is {value!r}.",
                "Name the folder of a model that an engine can load, with its config.json.",
            )
        if default is None and value == 0:
            raise ModelRefused(f"{self.folder}/config.json is malformed: {name} is 0.", "Download it again.")
        return value


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise ModelRefused(f"{path} is larger than any model's config.json.", "Name a model's folder.")
        found = json.loads(raw)
    except FileNotFoundError:
        raise ModelRefused(
            f"{path.parent} holds no config.json.", "Name a GGUF file, or a folder as Hugging Face has it."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelRefused(f"{path} cannot be read: {type(error).__name__}.", "Download it again.") from None
    if not isinstance(found, dict):
        raise ModelRefused(f"{path} is no model's: it holds no object.", "Download it again.")
    return found


def _layers(fields: _Fields, n_heads: int) -> Iterator[LayerKv]:
    n_layers = fields.whole("num_hidden_layers")
    if n_layers > _MOST_LAYERS:
        raise ModelRefused(f"{fields.folder}/config.json says {n_layers:,} layers.", "Download it again.")
    rank = fields.whole("kv_lora_rank", 0)
    n_shared = min(fields.whole("num_kv_shared_layers", 0), n_layers)  # the last layers read others' KV cache
    kinds = _kinds(fields, n_layers)
    for at, kind in enumerate(kinds):
        if at >= n_layers - n_shared:
            yield LayerKv(0, 1)
        elif kind is Sees.STATE:
            yield LayerKv(0, 1, kind, state_bytes=_state_bytes(fields))
        elif rank:
            yield LayerKv(rank + fields.whole("qk_rope_head_dim"), 0)  # one latent for all heads
        else:
            yield _attention(fields, kind, n_heads)


def _attention(fields: _Fields, kind: Sees, n_heads: int) -> LayerKv:
    n_kv = fields.whole("num_key_value_heads", n_heads)
    head = _head_dim(fields, n_heads)
    if kind is Sees.ALL:  # Gemma 4 has other heads in these
        n_kv = fields.whole("num_global_key_value_heads", n_kv)
        head = fields.whole("global_head_dim", head)
    window = {Sees.WINDOW: "sliding_window", Sees.CHUNK: "attention_chunk_size"}.get(kind)
    n_elements = n_kv * (head + fields.whole("v_head_dim", head))
    return LayerKv(n_elements, n_kv, kind, fields.whole(window) if window else 0)


def _head_dim(fields: _Fields, n_heads: int) -> int:
    return fields.whole("head_dim", 0) or fields.whole("hidden_size") // n_heads


def _kinds(fields: _Fields, n_layers: int) -> list[Sees]:
    """What each layer sees: as listed, or by the architecture's rule."""
    text = fields.text
    listed = text.get("layer_types")
    if isinstance(listed, list):
        unknown = sorted({str(kind)[:40] for kind in listed} - set(_KINDS))
        if unknown:
            raise ModelRefused(
                f"{fields.folder.name} has layers of a kind that Longdesk does not know ({unknown[0]}), and it cannot "
                "say what they keep.",
                "Start the engine: its log says how many tokens fit.",
            )
        kinds = [_KINDS[str(kind)] for kind in listed][:n_layers]
        return kinds + [Sees.ALL] * (n_layers - len(kinds))
    if text.get("attention_chunk_size"):
        return _by_rope(fields, n_layers)
    if interval := fields.whole("full_attention_interval", 0):  # Qwen3-Next
        return [Sees.ALL if (at + 1) % interval == 0 else Sees.STATE for at in range(n_layers)]
    period = fields.whole("sliding_window_pattern", 0) or _PERIODS.get(fields.kind, 0)
    if not period or not text.get("sliding_window") or not _slides(text):
        return [Sees.ALL] * n_layers
    return [Sees.ALL if (at + 1) % period == 0 else Sees.WINDOW for at in range(n_layers)]


def _by_rope(fields: _Fields, n_layers: int) -> list[Sees]:
    """Llama 4: layers without RoPE see everything, the others their chunk."""
    listed = fields.text.get("no_rope_layers")
    if isinstance(listed, list) and len(listed) == n_layers:
        return [Sees.CHUNK if rope else Sees.ALL for rope in listed]
    interval = fields.whole("no_rope_layer_interval", 4) or 4
    return [Sees.ALL if (at + 1) % interval == 0 else Sees.CHUNK for at in range(n_layers)]


def _slides(text: Mapping[str, Any]) -> bool:
    return text.get("use_sliding_window") is not False


def _state_bytes(fields: _Fields) -> int:
    """Of one request in a layer of gated delta attention (Qwen3-Next): its matrix in 32 bits, its convolution in 16."""
    n_keys, key = fields.whole("linear_num_key_heads"), fields.whole("linear_key_head_dim")
    n_values, value = fields.whole("linear_num_value_heads"), fields.whole("linear_value_head_dim")
    convolved = (2 * n_keys * key + n_values * value) * (fields.whole("linear_conv_kernel_dim") - 1)
    return n_values * key * value * 4 + convolved * 2
