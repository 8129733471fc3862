"""What a GGUF is: its dimensions, its window and where its bytes are. Read from headers alone, never a weight."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.errors import ModelRefused
from engine.gguf import Header, TensorInfo, read_header
from engine.memory.attention_windows import windows_of
from engine.memory.parts import whole_model
from engine.memory.purpose import refuse_empty, refuse_other
from engine.memory.rope import Declared, Rope, declared_rope, stretch

# fields of models that cache something else, or not in every layer: the sum over layers is an upper bound for them
_OTHER_CACHES = (
    *("ssm.", "wkv.", "kda.", "shortconv.", "full_attention_interval", "nextn_predict"),
    *("attention.kv_lora_rank", "attention.shared_kv_layers", "attention.recurrent_layers"),
    *("attention.indexer.", "attention.compress_ratios"),
)

# llama.cpp's routed experts, and the tensors that it gives to the input and to the output: src/llama-arch.cpp.
# Everything else without a block's number (rope_freqs, token_embd_norm, ...) it counts to the first layer.
EXPERTS = r"ffn_(up|down|gate|gate_up)_(ch|)exps"
_BLOCK = re.compile(rf"\bblk\.(\d+)\.({EXPERTS})?")
_INPUTS = ("token_embd", "position_embd", "token_types", "per_layer_token_embd")
_FIRST = (
    *("rope_freqs", "rope_factors_long", "rope_factors_short"),
    *("token_embd_norm", "per_layer_model_proj", "per_layer_proj_norm"),
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: elements of K and of V in a cell of its cache, whether it sees a window only, and its weights.

    expert_bytes: what of weights_bytes is routed experts, which may stay in RAM while the rest is on a GPU.
    """

    n_embd_k: int
    n_embd_v: int
    windowed: bool
    weights_bytes: int = 0
    expert_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model: bytes in all, where its weights start, and the hex digest of what stands before them."""

    path: Path
    n_bytes: int
    data_start: int
    header_digest: str


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter that belongs to its model. digest: hex, of all it holds. n_bytes: of its tensors; blocks: of those
    of each block of the model, None for what lies in none. widest: of what it adds to one matrix, in elements."""

    path: Path
    scale: float
    digest: str
    n_bytes: int
    rank: int
    widest: int
    blocks: tuple[tuple[int | None, int], ...] = field(repr=False)

    @property
    def stamp(self) -> str:
        """Tells weights that were changed otherwise apart."""
        return f"{self.digest} {self.scale:.9g}"

    def __str__(self) -> str:
        return self.path.name if self.scale == 1 else f"{self.path.name} at {self.scale:g}"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model file, or all parts of a split one.

    window: tokens that the model was trained for. attention_window: tokens that a windowed layer sees, 0 without any.
    exact: whether the layers' KV cache is known for this architecture; if not, it is an upper bound.
    weights_bytes: of all tensors; input_bytes, output_bytes and the layers' add up to it.
    tied_bytes: the token embeddings again, where they are the output matrix too: a GPU that computes the output holds
    a second copy of them, which weights_bytes leaves out. embedding_type: their tensor type.
    files: the parts in order; one where the model is not split.
    rope_switch: contexts of more tokens use the model's long RoPE factors, others its short ones; 0 without a choice.
    estimated: figures of a plan that are estimates for this model, by their names in `plan --json`.
    declared: what it says of its own positions. rope: the scaling that stands in for that, None for its own. adapters:
    what changes its weights, whose bytes are counted with them. notes: sentences on all that.
    """

    path: Path
    name: str
    architecture: str
    quantization: str
    window: int
    n_vocab: int
    n_embd: int
    n_ff: int
    layers: tuple[Layer, ...] = field(repr=False)
    attention_window: int
    exact: bool
    weights_bytes: int
    input_bytes: int = 0
    output_bytes: int = 0
    tied_bytes: int = 0
    embedding_type: str = ""
    n_experts: int = 0
    has_vocabulary: bool = True
    rope_switch: int = 0
    files: tuple[ModelFile, ...] = field(default=(), repr=False)
    estimated: tuple[str, ...] = ()
    declared: Declared = Declared()
    rope: Rope | None = None
    adapters: tuple[Adapter, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def stretches_from(self) -> int:
        """Tokens from which its window can be stretched; 0 where it cannot be, or is."""
        return self.declared.trained if self.rope is None and self.declared.stretches else 0

    @property
    def told_apart(self) -> str:
        """What makes its weights or positions others than its files say; '' for nothing."""
        rope = [self.rope.stamp] if self.rope is not None else []
        return " ".join([*rope, *(adapter.stamp for adapter in self.adapters)])


def card_at(path: Path) -> ModelCard:
    """The card of the file at this path. Raises ModelRefused as read_header and runnable_card do."""
    return runnable_card(read_header(path))


def runnable_card(header: Header) -> ModelCard:
    """The same of a model that is to be opened. Raises as read_card does, and for a file without weights."""
    card = read_card(header)
    if not card.weights_bytes:
        refuse_empty([header])
    return card


def read_card(header: Header) -> ModelCard:
    """Raises ModelRefused when fields are missing that llama.cpp needs, or parts of a split file, and for what is no
    language model."""
    parts = whole_model(header, read_header)  # first: a later part does not say what it is
    refuse_other(parts)
    architecture = header.text("general.architecture")
    if not architecture:
        raise ModelRefused(f"{header.path} does not say what architecture it is.", "Download or convert it again.")

    def integer(key: str, default: int = 0) -> int:
        return header.integer(f"{architecture}.{key}", default)

    n_layers, window, n_embd = integer("block_count"), integer("context_length"), integer("embedding_length")
    if not 0 < n_layers <= 4096 or window <= 0 or n_embd <= 0:
        if len(header.strings("tokenizer.ggml.tokens")):
            refuse_empty(parts)
        raise ModelRefused(
            f"{header.path} is no language model: it has {n_layers} layers, {n_embd} dimensions and a "
            f"window of {window} tokens.",
            "Name the model's own GGUF; a projector (mmproj) goes with --mmproj.",
        )
    head_dims = _head_dims(header, architecture, n_embd)
    layers, attention_window, exact = _layers(header, architecture, n_layers, head_dims)
    weights = _Weights(parts, n_layers)
    return ModelCard(
        path=header.path,
        name=header.text("general.name") or header.path.stem,
        architecture=architecture,
        quantization=_quantization(parts),
        window=window,
        n_vocab=len(header.strings("tokenizer.ggml.tokens")) or integer("vocab_size"),
        n_embd=n_embd,
        n_ff=max(header.integers(f"{architecture}.feed_forward_length"), default=0),
        layers=tuple(
            replace(layer, weights_bytes=weights.layers[at], expert_bytes=weights.experts[at])
            for at, layer in enumerate(layers)
        ),
        attention_window=attention_window,
        exact=exact,
        weights_bytes=sum(part.tensor_bytes for part in parts),
        input_bytes=weights.input,
        output_bytes=weights.output,
        tied_bytes=0 if weights.has_output_matrix else weights.embeddings,
        embedding_type=weights.embedding_type,
        n_experts=integer("expert_count"),
        rope_switch=_rope_switch(parts, integer("rope.scaling.original_context_length")),
        has_vocabulary=len(header.strings("tokenizer.ggml.tokens")) > 0,
        declared=declared_rope(
            header.metadata, {tensor.name for part in parts for tensor in part.tensors}, architecture, window
        ),
        notes=_pre_note(header),
        files=tuple(ModelFile(part.path, part.file_bytes, part.data_start, part.digest) for part in parts),
    )


def with_rope(card: ModelCard, scaling: str, n_ctx: int | None) -> ModelCard:
    """The card of the same model with its positions scaled so, for a context of so many tokens. Raises as stretch
    does."""
    rope, note = stretch(card.declared, card.name, card.window, scaling, n_ctx)
    notes = (*card.notes, note)
    if rope is None:
        return replace(card, notes=notes)
    return replace(card, rope=rope, window=n_ctx or rope.trained, notes=notes)


def _pre_note(header: Header) -> tuple[str, ...]:
    """Of a vocabulary in byte pairs whose file does not say by which rule text is cut first."""
    if header.text("tokenizer.ggml.model") != "gpt2" or header.text("tokenizer.ggml.pre"):
        return ()
    return (
        "The file does not say by which rule text is cut before it is encoded (tokenizer.ggml.pre). llama.cpp takes "
        "its default rule then, and so do the counts: they are exact for what is sent, but the model was probably "
        "taught by another rule and reads worse than it could. A newer conversion of it says the rule.",
    )


class _Weights:
    """The bytes of all tensors by where llama.cpp counts them: the input, each layer and its experts, the output."""

    def __init__(self, parts: list[Header], n_layers: int) -> None:
        self.input = self.output = self.embeddings = 0
        self.embedding_type = ""
        self.layers, self.experts = [0] * n_layers, [0] * n_layers
        self.has_output_matrix = False
        for part in parts:
            for tensor in part.tensors:
                self._add(tensor)

    def _add(self, tensor: TensorInfo) -> None:
        name, n_bytes = tensor.name.partition(".")[0], tensor.n_bytes
        if match := _BLOCK.search(tensor.name):
            layer = min(int(match[1]), len(self.layers) - 1)
            self.layers[layer] += n_bytes
            self.experts[layer] += n_bytes if match[2] else 0
        elif name in _FIRST:
            self.layers[0] += n_bytes
        elif name in _INPUTS:
            self.input += n_bytes
            if tensor.name == "token_embd.weight":
                self.embeddings, self.embedding_type = n_bytes, tensor.type.name
        else:
            self.output += n_bytes
            self.has_output_matrix |= tensor.name == "output.weight"


def _head_dims(header: Header, architecture: str, n_embd: int) -> tuple[int, int]:
    """Elements of one head's key and value."""
    default = n_embd // max(1, *header.integers(f"{architecture}.attention.head_count"), 1)
    return (
        header.integer(f"{architecture}.attention.key_length", default),
        header.integer(f"{architecture}.attention.value_length", default),
    )


def _layers(
    header: Header, architecture: str, n_layers: int, head_dims: tuple[int, int]
) -> tuple[tuple[Layer, ...], int, bool]:
    """The layers without their weights, the tokens that a windowed one sees, and whether that is all it takes."""

    def each(key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        values = header.integers(f"{architecture}.{key}") or default
        return values if len(values) == n_layers else values[:1] * n_layers

    heads = each("attention.head_count", (1,))
    kv_heads = each("attention.head_count_kv", heads)  # 0 in an array: a layer without attention
    if min(kv_heads) < 0:
        raise ModelRefused(
            f"{header.path} is malformed: a layer has {min(kv_heads)} KV heads.", "Download or convert it again."
        )
    k_dim, v_dim = head_dims
    windows = windows_of(
        architecture,
        n_layers,
        said=header.integer(f"{architecture}.attention.sliding_window", -1),
        pattern=header.metadata.get(f"{architecture}.attention.sliding_window_pattern"),
    )
    exact = windows.exact
    if any(key.startswith(tuple(f"{architecture}.{other}" for other in _OTHER_CACHES)) for key in header.metadata):
        exact = False
    layers = tuple(Layer(n * k_dim, n * v_dim, narrow) for n, narrow in zip(kv_heads, windows.flags, strict=True))
    return layers, windows.n_tokens, exact


def _rope_switch(parts: list[Header], original: int) -> int:
    """llama.cpp's get_rope_factors: the long ones where a sequence's context is larger than the original one."""
    has_long = any("rope_factors_long" in tensor.name for part in parts for tensor in part.tensors)
    return original if has_long else 0


def _quantization(parts: list[Header]) -> str:
    """The tensor type that holds most of the weights."""
    by_type: dict[str, int] = {}
    for part in parts:
        for tensor in part.tensors:
            by_type[tensor.type.name] = by_type.get(tensor.type.name, 0) + tensor.n_bytes
    return max(by_type, key=lambda name: by_type[name], default="")
