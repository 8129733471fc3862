"""Ghosts: GGUFs that have everything but a vocabulary and weights, so that a model can be planned with nothing loaded.

A ghost is as long as the real file and nearly all of it is a hole: 57 GiB of Scout take about 36 KiB on disk. llama.cpp
loads it with no_alloc and lays everything out; decoding it would give nothing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from engine.errors import EngineFailed, remedy_of, why
from engine.memory.card import ModelCard, card_at
from engine.memory.catalog.entry import Entry
from engine.memory.catalog.tensors import N_VOCAB, Shape, Typed, typed_tensors

if TYPE_CHECKING:
    import gguf

_VERSION = 1  # raise it when a ghost's metadata change
_ALIGNMENT = 32
_TRIAL_BYTES = 64 << 20  # of a hole, to see whether the file system keeps it one
# backup programs leave out folders with this file (https://bford.info/cachedir/); one without it may fill the holes
_CACHE_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Longdesk writes these files again when it needs them.\n"


def ghost_of(entry: Entry, folder: Path) -> Path:
    """The entry's ghost in a cache folder, written there now if it is not there yet.

    Raises EngineFailed where the folder cannot be written or its file system keeps no files of that length.
    """
    path = folder / f"{entry.name}-{_key(entry)}.gguf"
    with suppress(OSError):
        if path.stat().st_size:  # renamed in whole, so it is whole
            return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "CACHEDIR.TAG").write_text(_CACHE_TAG)
        with _beside(path) as part:
            _write(part, entry)
    except OSError as error:
        raise EngineFailed(
            f"The file that stands for {entry.name} cannot be written to {folder}: {why(error)}.",
            remedy_of(
                error, "Put LONGDESK_HOME onto a file system that keeps sparse files, as ext4, XFS and btrfs do."
            ),
        ) from None
    return path


def planned_card(entry: Entry, folder: Path) -> ModelCard:
    """The card of the entry's ghost, which is written into the folder if it is not there yet.

    Where tensor types are not known, the published size is spread over the tensors as the recipe has them. Raises
    EngineFailed where the ghost cannot be written.
    """
    card = card_at(ghost_of(entry, folder))
    return replace(_scaled(card, entry.weights_bytes), name=entry.name, estimated=entry.estimated)


def _key(entry: Entry) -> str:
    """Changes with anything that the ghost is made from, so that an older release's ghost is not used."""
    return blake2b(f"{_VERSION} {entry.shape!r} {entry.recipe!r}".encode(), digest_size=6).hexdigest()


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A path to write to, renamed to the wanted one in the end and removed if that is not reached."""
    part = path.with_name(f".{path.name}.{token_hex(8)}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write(path: Path, entry: Entry) -> None:
    tensors = tuple(typed_tensors(entry.shape, entry.recipe))
    _write_header(path, entry.shape, tensors)
    start = _padded(path.stat().st_size)
    _hollow(path, start + sum(_padded(typed.n_bytes) for typed in tensors))


def _write_header(path: Path, shape: Shape, tensors: tuple[Typed, ...]) -> None:
    import gguf  # takes a fifth of a second, which only planning pays
    import numpy as np

    writer = gguf.GGUFWriter(path, "llama4")
    try:
        _write_metadata(writer, shape)
        for typed in tensors:
            kind = gguf.GGMLQuantizationType[typed.type.name]
            dims = tuple(reversed(typed.tensor.dims))
            writer.add_tensor_info(typed.tensor.name, dims, np.dtype(np.float32), typed.n_bytes, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    finally:
        writer.close()


def _write_metadata(writer: "gguf.GGUFWriter", shape: Shape) -> None:
    """The fields that llama.cpp needs; with the tokenizer 'no_vocab' it takes the vocabulary's size from a field."""
    writer.add_name(shape.title)
    writer.add_block_count(shape.n_layers)
    writer.add_context_length(shape.window)
    writer.add_embedding_length(shape.n_embd)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_expert_feed_forward_length(shape.n_ff_expert)
    writer.add_expert_count(shape.n_experts)
    writer.add_expert_used_count(1)
    writer.add_interleave_moe_layer_step(shape.moe_step)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(500_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(N_VOCAB)
    writer.add_tokenizer_model("no_vocab")


def _hollow(path: Path, n_bytes: int) -> None:
    """Makes the file n_bytes long without writing them. Raises OSError where a hole does not stay one."""
    with path.open("r+b") as file:
        os.truncate(file.fileno(), min(n_bytes, path.stat().st_size + _TRIAL_BYTES))
        os.fsync(file.fileno())  # some file systems allocate only then
        blocks = getattr(os.fstat(file.fileno()), "st_blocks", 0) * 512
        if blocks > _TRIAL_BYTES // 2:
            raise OSError(None, "it would take its full length on disk")
        os.truncate(file.fileno(), n_bytes)


def _padded(n_bytes: int) -> int:
    return -(-n_bytes // _ALIGNMENT) * _ALIGNMENT


def _scaled(card: ModelCard, weights_bytes: int) -> ModelCard:
    if card.weights_bytes == weights_bytes:
        return card
    share = weights_bytes / card.weights_bytes
    layers = tuple(
        replace(layer, weights_bytes=round(layer.weights_bytes * share), expert_bytes=round(layer.expert_bytes * share))
        for layer in card.layers
    )
    output = round(card.output_bytes * share)
    rest = weights_bytes - output - sum(layer.weights_bytes for layer in layers)
    return replace(card, layers=layers, output_bytes=output, input_bytes=rest, weights_bytes=weights_bytes)
