"""Models in several files, named as llama.cpp wants them."""

from pathlib import Path

import gguf

from tests.models.writer import copy_fields, copy_tensor


def split(source: Path, folder: Path, *, n_parts: int = 3) -> Path:
    """`source` as <stem>-00001-of-00003.gguf and so on in `folder`; returns the first, by which llama.cpp loads all.

    All metadata stands in the first part, as in every split model, and the tensors are dealt out in their order.
    """
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(
        folder / source.name,
        reader.fields[gguf.Keys.General.ARCHITECTURE].contents(),
        split_max_tensors=-(-len(reader.tensors) // n_parts),
    )
    copy_fields(reader, writer)
    for tensor in reader.tensors:
        copy_tensor(tensor, writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parts: list[Path] = writer.format_shard_names(folder / source.name)
    if len(parts) != n_parts:
        raise ValueError(f"{len(reader.tensors)} tensors cannot be dealt out to {n_parts} parts")
    return parts[0]
