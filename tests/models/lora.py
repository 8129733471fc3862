"""LoRA adapters for the tiny models, as convert_lora_to_gguf writes them."""

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

_PARTS = ("attn_q", "attn_v", "ffn_down")


def build_lora(
    path: Path,
    model: Path,
    *,
    parts: Sequence[str] = _PARTS,
    rank: int = 4,
    alpha: float = 8.0,
    gain: float = 1.0,
    seed: int = 0,
    architecture: str = "",
    base: str = "Tiny Llama",
) -> Path:
    """An adapter of random halves for the named matrices of every block, or of the whole model, written to `path`.

    architecture: that it says it is for, the model's own where it is "".
    """
    reader = gguf.GGUFReader(model)
    random = np.random.default_rng(seed)
    own = reader.fields[gguf.Keys.General.ARCHITECTURE].contents()
    writer = gguf.GGUFWriter(path, architecture or own)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, base)
    for tensor in reader.tensors:
        if tensor.name.removesuffix(".weight").split(".")[-1] not in parts or len(tensor.shape) != 2:
            continue
        n_in, n_out = (int(each) for each in tensor.shape[:2])
        a = random.standard_normal((rank, n_in), dtype=np.float32) / np.float32(n_in**0.5)
        b = random.standard_normal((n_out, rank), dtype=np.float32) * np.float32(gain / rank**0.5)
        writer.add_tensor(f"{tensor.name}.lora_a", a)
        writer.add_tensor(f"{tensor.name}.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
