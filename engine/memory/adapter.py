"""LoRA adapters: small files that change a model's weights, held against the model before anything is loaded.

Read from the header alone, as llama.cpp would read it (src/llama-adapter.cpp, which refuses the same in fewer words).
Applying them is left to engine.runtime.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path

from engine.errors import ModelRefused
from engine.gguf import Header, TensorInfo, read_header
from engine.memory.card import Adapter, ModelCard
from engine.memory.lora import Lora

_PAIR = re.compile(r"^(?P<base>.+)\.lora_(?P<side>[ab])$")
_BLOCK = re.compile(r"\bblk\.(\d+)\.")
_REMEDY = "Name the adapter that was made for this model, or ask without: --lora none."


def with_adapters(card: ModelCard, wanted: Sequence[Lora]) -> ModelCard:
    """The card of the same model with these adapters applied. Raises as read_adapters does."""
    tensors = [tensor for file in card.files for tensor in read_header(file.path).tensors] if wanted else []
    adapters = read_adapters(wanted, card.name, card.architecture, tensors)
    if not adapters:
        return card
    layers, outside = list(card.layers), 0
    for block, n_bytes in (each for adapter in adapters for each in adapter.blocks):
        if block is None:
            outside += n_bytes
        else:
            at = min(block, len(layers) - 1)
            layers[at] = replace(layers[at], weights_bytes=layers[at].weights_bytes + n_bytes)
    total = sum(adapter.n_bytes for adapter in adapters)
    return replace(
        card,
        layers=tuple(layers),
        weights_bytes=card.weights_bytes + total,
        output_bytes=card.output_bytes + outside,
        estimated=tuple(dict.fromkeys((*card.estimated, "compute_bytes"))),
        adapters=adapters,
        notes=(*card.notes, f"LoRA: {', '.join(map(str, adapters))}; {total:,} bytes of the weights are theirs."),
    )


def read_adapters(
    wanted: Sequence[Lora], name: str, architecture: str, tensors: Sequence[TensorInfo]
) -> tuple[Adapter, ...]:
    """Those of them that change anything, in order. Raises ModelRefused for one that is not this model's."""
    known = {tensor.name: tensor.dims for tensor in tensors}
    read = [_read(each, name, architecture, known) for each in wanted]
    return tuple(each for each in read if each.scale)


def _read(lora: Lora, name: str, architecture: str, known: dict[str, tuple[int, ...]]) -> Adapter:
    if not lora.path.exists():
        raise ModelRefused(
            f"There is no LoRA adapter at {lora.path}.", "Check the path after --lora; --lora none asks without."
        )
    try:
        header = read_header(lora.path)
    except ModelRefused as error:  # its own remedy is of a model; this one may be named by a session alone
        raise ModelRefused(f"The LoRA adapter cannot be used: {error.fact}", _REMEDY) from None
    _check_kind(header)
    if (own := header.text("general.architecture")) != architecture:
        raise ModelRefused(
            f"{lora.path.name} is an adapter for {own or 'an unnamed'} models, and {name} is a {architecture}.", _REMEDY
        )
    rank = widest = 0
    blocks: dict[int | None, int] = {}
    for base, sides in _pairs(header).items():
        a, b = sides["a"], sides["b"]
        _check_pair(lora.path, base, a, b, known)
        rank, widest = max(rank, b.dims[0]), max(widest, b.dims[1])
        match = _BLOCK.search(base)
        block = int(match[1]) if match else None
        blocks[block] = blocks.get(block, 0) + a.n_bytes + b.n_bytes
    return Adapter(lora.path, lora.scale, _digest(lora.path), header.tensor_bytes, rank, widest, tuple(blocks.items()))


def _check_kind(header: Header) -> None:
    path, kind = header.path, header.text("general.type")
    is_old = not kind and any(_PAIR.match(tensor.name) for tensor in header.tensors)
    if kind != "adapter":
        told = "an adapter from before llama.cpp knew their kind" if is_old else f"a {kind or 'model'}, no adapter"
        remedy = "Convert it anew with convert_lora_to_gguf.py." if is_old else "A model goes with --model."
        raise ModelRefused(f"{path} is {told}.", remedy)
    if (kind := header.text("adapter.type")) != "lora":
        raise ModelRefused(f"{path} is an adapter of the kind {kind or 'that it does not say'}, not a LoRA.", _REMEDY)
    if header.integers("adapter.alora.invocation_tokens"):
        raise ModelRefused(
            f"{path} is an activated LoRA: it is applied behind certain tokens alone, which Longdesk cannot do.",
            _REMEDY,
        )
    if not header.tensors:
        raise ModelRefused(f"{path} is an adapter without a single tensor.", "Download or convert it again.")


def _pairs(header: Header) -> dict[str, dict[str, TensorInfo]]:
    pairs: dict[str, dict[str, TensorInfo]] = {}
    for tensor in header.tensors:
        match = _PAIR.match(tensor.name)
        if match is None:
            raise ModelRefused(f"{header.path} holds {tensor.name!r}, which is no part of a LoRA.", _REMEDY)
        pairs.setdefault(match["base"], {})[match["side"]] = tensor
    for base, sides in pairs.items():
        if len(sides) < 2:
            raise ModelRefused(f"{header.path} holds one half of the pair for {base!r} alone.", "Convert it again.")
    return pairs


def _check_pair(path: Path, base: str, a: TensorInfo, b: TensorInfo, known: dict[str, tuple[int, ...]]) -> None:
    """Raises ModelRefused where the two, multiplied, are not of the shape of the model's tensor."""
    if base not in known:
        raise ModelRefused(f"{path.name} changes {base!r}, which the model does not have.", _REMEDY)
    dims = (*known[base], 1)[:2]
    halves = (*a.dims, 1)[:2], (*b.dims, 1)[:2]
    if base == "token_embd.weight":  # its halves change places
        fits = halves[0][1] == dims[1] and halves[1][1] == dims[0] and halves[0][0] == halves[1][0]
    else:
        fits = halves[0][0] == dims[0] and halves[1][1] == dims[1] and halves[0][1] == halves[1][0]
    if not fits:
        raise ModelRefused(
            f"{path.name} changes {base!r} by halves of {halves[0][0]} x {halves[0][1]} and {halves[1][0]} x "
            f"{halves[1][1]}, and the model has it in {dims[0]} x {dims[1]}: it is of another size of the model.",
            _REMEDY,
        )


def _digest(path: Path) -> str:
    stat = path.stat()
    return _digest_of(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))


@lru_cache(maxsize=32)
def _digest_of(path: Path, stamp: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return file_digest(file, "blake2b").hexdigest()[:32]
