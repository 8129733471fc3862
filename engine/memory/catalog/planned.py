"""A catalogue entry as a model card, for planning what is not on this machine."""

from dataclasses import replace
from pathlib import Path

from engine.gguf import read_header
from engine.memory.card import ModelCard, read_card
from engine.memory.catalog.entry import Entry
from engine.memory.catalog.ghost import ghost_of


def planned_card(entry: Entry, folder: Path) -> ModelCard:
    """The card of the entry's ghost, which is written into the folder if it is not there yet.

    Where tensor types are not known, the published size is spread over the tensors as the recipe has them. Raises
    EngineFailed where the ghost cannot be written.
    """
    card = read_card(read_header(ghost_of(entry, folder)))
    return replace(_scaled(card, entry.weights_bytes), name=entry.name, estimated=entry.estimated)


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
