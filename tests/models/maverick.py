"""A tiny model of Llama 4 Maverick's shape: 128 small experts in every other layer, and a small vocabulary."""

from pathlib import Path

from tests.models.llama import LLAMA3
from tests.models.scout import write_fields, write_tensors, write_vocabulary
from tests.models.shape import Shape
from tests.models.vocabulary import llama3_vocabulary
from tests.models.writer import DType, Weights, new_gguf

VERSION = 1  # raise it when build_maverick writes something else, so that cached builds are made anew

SHAPE = Shape(n_layer=8, n_ff=32, n_ctx_train=1_048_576)
MOE_STEP = 2
N_EXPERT = 128  # llama.cpp knows Maverick by it, and norms no queries and keys then


def build_maverick(
    path: Path, shape: Shape = SHAPE, *, n_expert: int = N_EXPERT, seed: int = 0, dtype: DType = "F16"
) -> Path:
    """Write a Maverick-shaped model to `path` and return it.

    Like Maverick: layers 1, 3, 5, ... have one routed and one shared expert, the others are dense; attention is
    Scout's, without the norms. Unlike it: the vocabulary and the template are the Llama-shaped model's, so that the
    file stays small.
    """
    vocabulary = llama3_vocabulary()
    with new_gguf(path, "llama4", name="Tiny Maverick", dtype=dtype) as writer:
        write_fields(writer, shape, n_expert=n_expert, moe_step=MOE_STEP)
        write_vocabulary(writer, vocabulary, LLAMA3)
        write_tensors(
            Weights(writer, seed=seed, dtype=dtype),
            shape,
            n_expert=n_expert,
            moe_step=MOE_STEP,
            n_vocab=len(vocabulary.tokens),
            output_sizes=vocabulary.output_sizes,
        )
    return path
