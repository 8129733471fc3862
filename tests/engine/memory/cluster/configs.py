"""Configurations of models as Hugging Face publishes them: the fields that decide a KV cache, and no others.

Figures from the repositories' own config.json files.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_BASE = {"max_position_embeddings": 131_072, "torch_dtype": "bfloat16"}
LLAMA_70B = {
    **_BASE, "model_type": "llama", "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64,
    "num_key_value_heads": 8, "intermediate_size": 28_672, "vocab_size": 128_256, "head_dim": 128,
}  # fmt: skip
DEEPSEEK_V3 = {
    **_BASE, "model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128,
    "num_key_value_heads": 128, "intermediate_size": 18_432, "moe_intermediate_size": 2048, "vocab_size": 129_280,
    "kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128, "n_routed_experts": 256,
    "n_shared_experts": 1, "first_k_dense_replace": 3, "max_position_embeddings": 163_840,
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3"},
}  # fmt: skip
GEMMA3_27B = {
    "model_type": "gemma3",
    "vision_config": {"hidden_size": 1152},
    "text_config": {
        **_BASE, "model_type": "gemma3_text", "hidden_size": 5376, "num_hidden_layers": 62, "num_attention_heads": 32,
        "num_key_value_heads": 16, "head_dim": 128, "intermediate_size": 21_504, "vocab_size": 262_208,
        "sliding_window": 1024, "sliding_window_pattern": 6,
    },
}  # fmt: skip
GPT_OSS_120B = {
    **_BASE, "model_type": "gpt_oss", "hidden_size": 2880, "num_hidden_layers": 36, "num_attention_heads": 64,
    "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 2880, "vocab_size": 201_088, "sliding_window": 128,
    "num_local_experts": 128, "layer_types": ["sliding_attention", "full_attention"] * 18,
    "quantization_config": {"quant_method": "mxfp4"},
}  # fmt: skip
QWEN3_NEXT_80B = {
    **_BASE, "model_type": "qwen3_next", "hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 16,
    "num_key_value_heads": 2, "head_dim": 256, "intermediate_size": 5120, "moe_intermediate_size": 512,
    "vocab_size": 151_936, "num_experts": 512, "shared_expert_intermediate_size": 512, "full_attention_interval": 4,
    "linear_num_key_heads": 16, "linear_key_head_dim": 128, "linear_num_value_heads": 32, "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4, "max_position_embeddings": 262_144,
}  # fmt: skip
SCOUT = {
    "model_type": "llama4",
    "vision_config": {"hidden_size": 1408},
    "text_config": {
        "model_type": "llama4_text", "hidden_size": 5120, "num_hidden_layers": 48, "num_attention_heads": 40,
        "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 8192, "intermediate_size_mlp": 16_384,
        "vocab_size": 202_048, "num_local_experts": 16, "interleave_moe_layer_step": 1, "attention_chunk_size": 8192,
        "no_rope_layers": [1, 1, 1, 0] * 12, "max_position_embeddings": 10_485_760,
    },
}  # fmt: skip


def folder_of(config: Mapping[str, Any] | str, folder: Path) -> Path:
    """A folder with that config.json, as text where it is one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder
