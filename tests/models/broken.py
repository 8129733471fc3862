"""Files that are no models, or models that hurt: each fails in a known way in llama.cpp 0c1e57098.

Those that kill the process do so by a signal, with nothing to catch: a product survives them only by loading models in
a child process. `tests.models.probe` does.
"""

import random
import shutil
from pathlib import Path
from typing import Literal

import gguf
import numpy as np

from tests.models.cache import build
from tests.models.mmproj import VisionShape, write_fields
from tests.models.writer import Weights, copy_fields, copy_tensor, new_gguf


def truncated(source: Path, path: Path, share: float) -> Path:
    """`source` with only the first `share` (0 to 1) of its tensor data: a download that broke off."""
    start = int(gguf.GGUFReader(source).data_offset)
    size = start + int((source.stat().st_size - start) * share)
    shutil.copyfile(source, path)
    with path.open("r+b") as file:
        file.truncate(size)
    return path


def cut_header(source: Path, path: Path, n_bytes: int = 200) -> Path:
    """The first bytes of `source`: it ends within the metadata."""
    with source.open("rb") as file:
        path.write_bytes(file.read(n_bytes))
    return path


def wrong_magic(source: Path, path: Path) -> Path:
    """`source` with GGML in place of GGUF at its start."""
    shutil.copyfile(source, path)
    with path.open("r+b") as file:
        file.write(b"GGML")
    return path


def with_f64_tensor(path: Path) -> Path:
    """A valid model but for one thing: a norm's weight is float64, as numpy makes it by accident. Decoding kills."""
    return _copy_with_f64(build("llama", path.with_name(f"{path.name}.source")), path)


def crashing(path: Path, when: Literal["load", "context", "decode"] = "decode") -> Path:
    """A whole model that makes llama.cpp abort (SIGABRT) while it loads, makes the context, or first decodes.

    Magic, counts, offsets and shapes are right; one hyperparameter is absurd, and a GGML_ASSERT stands where an error
    should. "load": 600 layers are claimed (512 are allowed). "context": 4 heads share 3 KV heads. "decode": the norms'
    epsilon is negative, which nothing looks at before the first batch, a dry run without weights included.
    """
    if when == "context":
        return build("llama", path, n_head_kv=3)
    build("llama", path)
    if when == "load":
        _overwrite(path, "llama.block_count", 600)
    else:
        _overwrite(path, "llama.attention.layer_norm_rms_epsilon", -1.0)
    return path


def crashing_projector(path: Path, when: Literal["load", "count"]) -> Path:
    """A projector that makes mtmd end its process while it loads (SIGABRT), or counts an image (SIGFPE).

    "load": at least 9 tiles and at most 2 are claimed. "count": tiles have no pixels.
    """
    if when == "count":
        build("mmproj", path, projector="idefics3")
        _overwrite(path, "clip.vision.image_size", 0)
        return path
    with new_gguf(path, "clip", name="Crashing", kind=gguf.GGUFType.MMPROJ) as writer:
        shape = VisionShape(n_embd_text=64, image_size=448, patch_size=14, merge=2)
        write_fields(writer, shape, "internvl")
        writer.add_vision_preproc_min_tiles(9)
        writer.add_vision_preproc_max_tiles(2)
        Weights(writer).norm("v.post_ln", shape.n_embd)
    return path


def garbage(path: Path, n_bytes: int = 65_536, seed: int = 0) -> Path:
    """Random bytes, the same for the same seed."""
    path.write_bytes(random.Random(seed).randbytes(n_bytes))
    return path


def empty(path: Path) -> Path:
    """A file of no bytes."""
    path.write_bytes(b"")
    return path


def _overwrite(path: Path, key: str, value: float) -> None:
    """Change one number of the metadata in place."""
    reader = gguf.GGUFReader(path, "r+")
    field = reader.fields[key]
    field.parts[field.data[0]][0] = value
    reader.data.flush()


def _copy_with_f64(source: Path, path: Path) -> Path:
    """Write `source` again with blk.0.attn_norm.weight as F64, and remove it."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(path, "llama")
    copy_fields(reader, writer)
    for tensor in reader.tensors:
        if tensor.name == "blk.0.attn_norm.weight":
            writer.add_tensor(tensor.name, np.array(tensor.data, dtype=np.float64))
        else:
            copy_tensor(tensor, writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    source.unlink()
    return path
