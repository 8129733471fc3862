"""GGUFs that are no language model: a header of their kind and a tensor or two."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import gguf
import numpy as np

Field = str | int | bool | float | list[str]


def build_other(
    path: Path,
    architecture: str = "",
    *,
    fields: Mapping[str, Field] | None = None,
    tensors: Sequence[str] = ("token_embd.weight",),
    n_layers: int = 1,
) -> Path:
    """Write it to `path` and return that. fields: by their whole names; the shape of a model stands in all that say
    what architecture they are, so that nothing else is odd about them."""
    writer = gguf.GGUFWriter(path, architecture or "none")
    if not architecture:
        del writer.kv_data[0][gguf.Keys.General.ARCHITECTURE]
    else:
        writer.add_block_count(n_layers)
        writer.add_context_length(512)
        writer.add_embedding_length(32)
        writer.add_head_count(2)
    for name, value in (fields or {}).items():
        if isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        elif isinstance(value, list):
            writer.add_array(name, value)
        else:
            writer.add_string(name, value)
    for name in tensors:
        writer.add_tensor(name, np.ones((4, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
