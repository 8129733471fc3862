"""A model from a GGUF's header, for engines that load such files, and for their arithmetic at other precisions.

Raises nothing of its own but for models whose layers keep what is not known here.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path

from engine.errors import ModelRefused
from engine.gguf import Header, read_header
from engine.memory.card import ModelCard, runnable_card
from engine.memory.cluster.served import Checkpoint, LayerKv, Sees, ServedModel

_BITS = {"bf16": 16.0, "fp8": 8.0, "int4": 4 + 16 / 128}
# fields of models whose layers keep something else, or not each its own
_OTHER_CACHES = (
    *("ssm.", "wkv.", "kda.", "shortconv.", "full_attention_interval"),
    *("attention.shared_kv_layers", "attention.recurrent_layers", "attention.indexer.", "attention.compress_ratios"),
)


def model_of_gguf(path: Path) -> ServedModel:
    """The model of a GGUF file, the first part of a split one. Raises ModelRefused for one that cannot be used, and for
    one whose KV cache is not known."""
    header = read_header(path)
    card = runnable_card(header)
    prefix = f"{card.architecture}."
    for key in header.metadata:
        if key.startswith(tuple(prefix + other for other in _OTHER_CACHES)):
            raise ModelRefused(
                f"{card.name} keeps more, or less, than keys and values of each layer ({key} in its header), and "
                "Longdesk cannot say how much that takes on other engines than llama.cpp.",
                f"Name the folder of its safetensors, which has a config.json; or plan for this machine: "
                f"`longdesk plan --model {path}`.",
            )
    heads = header.integers(f"{prefix}attention.head_count") or (1,)
    n_heads = max(*heads, 1)
    n_kv = max(*(header.integers(f"{prefix}attention.head_count_kv") or (n_heads,)), 1)
    rank = header.integer(f"{prefix}attention.kv_lora_rank")
    notes = ["vLLM and SGLang load some GGUFs, of one file each, and call it experimental; TensorRT-LLM loads none."]
    if not card.exact and not rank:
        notes.append(f"How {card.architecture} keeps windows is not known: taken in full.")
    return ServedModel(
        name=card.name,
        architecture=card.architecture,
        window=card.window,
        n_vocab=card.n_vocab,
        n_embd=card.n_embd,
        n_ff=max(1, card.n_ff),
        n_heads=n_heads,
        n_kv_heads=n_kv,
        layers=tuple(_layers(header, card, rank)),
        checkpoints=tuple(_checkpoints(card)),
        n_experts=card.n_experts,
        rope_elements=header.integer(f"{prefix}rope.dimension_count", card.n_embd // n_heads),
        kv_is_exact=card.exact or bool(rank),
        notes=tuple(notes),
    )


def _layers(header: Header, card: ModelCard, rank: int) -> Iterator[LayerKv]:
    if rank:  # one latent for all heads, with the part of the key that turns
        rope = header.integer(f"{card.architecture}.rope.dimension_count", 64)
        yield from (LayerKv(rank + rope, 0) for _ in card.layers)
        return
    kv_heads = header.integers(f"{card.architecture}.attention.head_count_kv")
    window = Sees.CHUNK if card.architecture == "llama4" else Sees.WINDOW
    for at, layer in enumerate(card.layers):
        n_kv = (kv_heads[at] if len(kv_heads) == len(card.layers) else max(*kv_heads, 1, 1)) if kv_heads else 0
        n_kv = n_kv or max(1, max(header.integers(f"{card.architecture}.attention.head_count"), default=1))
        n_elements = layer.n_embd_k + layer.n_embd_v
        if layer.windowed:
            yield LayerKv(n_elements, n_kv, window, card.attention_window)
        else:
            yield LayerKv(n_elements, n_kv)


def _checkpoints(card: ModelCard) -> Iterator[Checkpoint]:
    """The file itself, then what other precisions would come to."""
    yield Checkpoint(
        precision=card.quantization.lower() or "gguf",
        name=str(card.path),
        n_bytes=card.weights_bytes,
        is_exact=True,
        source="this file's tensors",
    )
    packed = other = 0
    for file in card.files:
        for tensor in read_header(file.path).tensors:
            if ".ffn_" in tensor.name and len(tensor.dims) > 1:
                packed += prod(tensor.dims)
            else:
                other += prod(tensor.dims)
    for precision, bits in _BITS.items():
        if precision != card.quantization.lower():
            yield Checkpoint(
                precision=precision,
                name=card.name,
                n_bytes=round(packed * bits / 8) + other * 2,
                is_exact=False,
                source="reckoned from this file's tensors",
            )
