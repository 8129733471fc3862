"""Headers of more architectures, most with sliding windows: llama.cpp lays out their KV caches, and nothing can run.

Each has its own rule in llama.cpp (src/models/<name>.cpp, load_arch_hparams) for which layers see a window only.
"""

from pathlib import Path

import gguf
import numpy as np

from tests.models.shape import Shape
from tests.models.writer import NoWeights, new_gguf

SHAPE = Shape(n_layer=12, n_embd=128)
_N_VOCAB, _N_EXPERT = 256, 4

_Q_K_V = ("attn_q", "attn_k", "attn_v", "attn_output")
_GATED = ("ffn_gate", "ffn_up", "ffn_down")
_EXPERTS = ("ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")
_BIASES = tuple(f"{name}.bias" for name in _EXPERTS)
_NORMS, _POST_NORMS = ("attn_norm", "ffn_norm"), ("post_attention_norm", "post_ffw_norm")
_HEAD_NORMS, _ROW_NORMS = ("attn_q_norm", "attn_k_norm"), ("attn_q_norm:row", "attn_k_norm:row")

# the tensors of a layer; llama.cpp refuses a file that has one less, or one more
TENSORS = {
    "llama": _NORMS + _Q_K_V + _GATED,
    "qwen3": _NORMS + _HEAD_NORMS + _Q_K_V + _GATED,
    "phi3": (*_NORMS, "attn_qkv", "attn_output", "ffn_up:double", "ffn_down"),
    "gemma2": _NORMS + _POST_NORMS + _Q_K_V + _GATED,
    "gemma3": _NORMS + _POST_NORMS + _HEAD_NORMS + _Q_K_V + _GATED,
    "cohere2": ("attn_norm", *_Q_K_V, *_GATED),
    "olmo2": _POST_NORMS + _ROW_NORMS + _Q_K_V + _GATED,
    "exaone4": _POST_NORMS + _HEAD_NORMS + _Q_K_V + _GATED,
    "gpt-oss": ("attn_norm", "post_attention_norm", "attn_sinks", *_Q_K_V, "attn_output.bias", *_EXPERTS, *_BIASES),
    "smallthinker": _NORMS + _Q_K_V + _EXPERTS,
}
_TIED = ("gemma2", "gemma3", "cohere2")


def build_header(
    path: Path, architecture: str, shape: Shape = SHAPE, *, window: int | None, pattern: int | list[bool] | None = None
) -> Path:
    """Write a sparse file of one of TENSORS' architectures, without vocabulary, to `path` and return it.

    window: attention.sliding_window in tokens; pattern: attention.sliding_window_pattern, by which the file overrules
    llama.cpp's own: for each layer whether it is windowed, or how many layers one global layer comes in. None leaves
    either out.
    """
    n_expert = _N_EXPERT if "ffn_gate_inp" in TENSORS[architecture] else 0
    with new_gguf(path, architecture, name=f"Header of {architecture}", sparse=True) as writer:
        shape.write(writer)
        writer.add_layer_norm_rms_eps(1e-6)
        writer.add_layer_norm_eps(1e-5)
        writer.add_logit_scale(1.0)
        writer.add_expert_count(n_expert)
        writer.add_expert_used_count(min(1, n_expert))
        writer.add_expert_feed_forward_length(shape.n_ff)
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        writer.add_vocab_size(_N_VOCAB)
        writer.add_tokenizer_model("no_vocab")
        if window is not None:
            writer.add_sliding_window(window)
        key = f"{architecture}.attention.sliding_window_pattern"
        if isinstance(pattern, int):
            writer.add_uint32(key, pattern)
        elif pattern is not None:
            writer.add_array(key, pattern)
        _write_tensors(NoWeights(writer, gguf.GGMLQuantizationType.F16), architecture, shape)
    return path


def _write_tensors(weights: NoWeights, architecture: str, shape: Shape) -> None:
    n_embd, n_ff, n_expert = shape.n_embd, shape.n_ff, _N_EXPERT
    n_queries, n_keys = shape.n_head * shape.head_dim, shape.n_head_kv * shape.head_dim
    sizes = {
        **{"attn_q": (n_queries, n_embd), "attn_k": (n_keys, n_embd), "attn_v": (n_keys, n_embd)},
        **{"attn_qkv": (n_queries + 2 * n_keys, n_embd), "attn_output": (n_embd, n_queries)},
        **{"attn_q_norm": (shape.head_dim,), "attn_k_norm": (shape.head_dim,)},
        **{"attn_q_norm:row": (n_queries,), "attn_k_norm:row": (n_keys,)},
        **{"ffn_gate": (n_ff, n_embd), "ffn_up": (n_ff, n_embd), "ffn_down": (n_embd, n_ff)},
        **{"ffn_up:double": (2 * n_ff, n_embd), "ffn_gate_inp": (n_expert, n_embd)},
        **{"ffn_gate_exps": (n_expert, n_ff, n_embd), "ffn_up_exps": (n_expert, n_ff, n_embd)},
        **{"ffn_down_exps": (n_expert, n_embd, n_ff), "attn_sinks": (shape.n_head,)},
    }
    weights.embedding("token_embd", (_N_VOCAB, n_embd))
    for block in shape.blocks:
        for name in TENSORS[architecture]:
            size = sizes.get(name.removesuffix(".bias"), (n_embd,))
            if name.endswith(".bias"):
                weights.vector(f"{block}.{name}", np.zeros(size[:-1], dtype=np.float32))
            else:
                weights.matrix(f"{block}.{name.partition(':')[0]}", size, exact=len(size) == 1)
    weights.norm("output_norm", n_embd)
    if architecture not in _TIED:
        weights.matrix("output", (_N_VOCAB, n_embd))
