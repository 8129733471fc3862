"""Scout and Maverick in true size without their weights: sparse files whose headers are whole.

llama.cpp plans with them (no_alloc) and tokenizes with them; to decode with one would read zeros, gigabytes of them.
"""

from pathlib import Path
from typing import Literal

import gguf

from tests.models.maverick import MOE_STEP, N_EXPERT
from tests.models.scout import CHAT_TEMPLATE, N_VOCAB, write_fields, write_tensors, write_vocabulary
from tests.models.shape import Shape
from tests.models.vocabulary import llama4_vocabulary
from tests.models.writer import NoWeights, new_gguf

VERSION = 1  # raise it when build_ghost writes something else, so that cached builds are made anew

SHAPE = Shape(n_layer=48, n_embd=5_120, n_head=40, n_head_kv=8, head_dim=128, n_ff=8_192, n_ctx_train=10_485_760)


def build_ghost(
    path: Path,
    shape: Shape = SHAPE,
    *,
    model: Literal["scout", "maverick"] = "scout",
    quantization: str = "Q4_K",
    vocab: Literal["llama4", "none"] = "none",
) -> Path:
    """Write a header of Scout's or Maverick's to `path`, make the file as long as the whole one, and return it.

    `quantization` is the ggml type of every matrix; norms and routers are F32. The file takes 36 KiB on disk, and with
    the vocabulary 13 MiB. Maverick's true window is 1,048,576 tokens: that is for n_ctx_train.
    """
    n_expert, moe_step = (N_EXPERT, MOE_STEP) if model == "maverick" else (16, 1)
    with new_gguf(path, "llama4", name=f"{model.title()} 17B {n_expert}E Instruct", sparse=True) as writer:
        write_fields(writer, shape, n_expert=n_expert, moe_step=moe_step)
        write_vocabulary(writer, llama4_vocabulary() if vocab == "llama4" else None, CHAT_TEMPLATE)
        weights = NoWeights(writer, gguf.GGMLQuantizationType[quantization])
        write_tensors(weights, shape, n_expert=n_expert, moe_step=moe_step, n_vocab=N_VOCAB)
    return path
