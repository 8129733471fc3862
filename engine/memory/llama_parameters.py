"""A Placement as llama.cpp's own parameters: one place for the dry run and for the runtime, so that they cannot differ.
Also adapters as it takes them.

Imports llama.cpp, so only child processes import this.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llama_cpp

from engine.errors import EngineFailed
from engine.memory.budget import Placement
from engine.memory.card import EXPERTS
from engine.memory.gpus import ram_buffer_type
from engine.memory.kv_cache import GGML_NUMBERS
from engine.memory.rope import LINEAR, NONE, YARN

_SCALING_TYPES = {
    NONE: llama_cpp.LLAMA_ROPE_SCALING_TYPE_NONE,
    LINEAR: llama_cpp.LLAMA_ROPE_SCALING_TYPE_LINEAR,
    YARN: llama_cpp.LLAMA_ROPE_SCALING_TYPE_YARN,
}


class ModelParameters:
    """llama_model_params, and the arrays that they point into, which must outlive the load."""

    def __init__(self, placement: Placement) -> None:
        self.value = llama_cpp.llama_model_default_params()
        self.value.n_gpu_layers = placement.n_gpu_layers
        self.value.use_extra_bufts = placement.repack
        if not placement.use_gpus:
            self._devices = (ctypes.c_void_p * 1)(None)  # a list that ends at once, where null means all there are
            self.value.devices = ctypes.addressof(self._devices)
        if placement.tensor_split:
            room = max(len(placement.tensor_split), llama_cpp.llama_max_devices())
            self._split = (ctypes.c_float * room)(*placement.tensor_split)
            self.value.tensor_split = self._split
        if placement.expert_layers_in_ram:
            self._overrides = _overrides(placement.expert_layers_in_ram)
            self.value.tensor_buft_overrides = ctypes.cast(self._overrides, ctypes.c_void_p)


def context_parameters(placement: Placement, *, n_threads: int = 1) -> Any:
    """llama_context_params for one sequence of which only the last token's logits are read."""
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = placement.n_ctx
    parameters.n_batch = parameters.n_ubatch = placement.n_ubatch
    parameters.n_seq_max = 1
    parameters.n_outputs_max = 1
    parameters.n_threads = parameters.n_threads_batch = n_threads
    parameters.type_k = parameters.type_v = GGML_NUMBERS[placement.kv_type]
    parameters.offload_kqv = placement.kv_on_gpu
    parameters.swa_full = placement.swa_full
    parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO
    if (rope := placement.rope) is not None:
        parameters.rope_scaling_type = _SCALING_TYPES[rope.scaling]
        parameters.rope_freq_scale = 1.0 / rope.factor
        parameters.yarn_orig_ctx = rope.trained
    return parameters


def apply_adapters(model: Any, context: Any, adapters: Sequence[tuple[Path, float]], words: Callable[[], str]) -> None:
    """From now on the context decodes with these LoRA adapters, each at its scale. They are freed with the model.

    What llama.cpp would refuse was looked for before, in engine.memory.adapter. words: what it says went wrong.
    Raises EngineFailed.
    """
    kind, loaded = llama_cpp.llama_adapter_lora_p_ctypes, []
    for path, _ in adapters:
        adapter = llama_cpp.llama_adapter_lora_init(model, os.fsencode(path))
        if not adapter:
            raise EngineFailed(f"llama.cpp cannot load the LoRA adapter {path}{words()}.", "Use another conversion.")
        loaded.append(ctypes.cast(adapter, kind))
    scales = (ctypes.c_float * len(loaded))(*(scale for _, scale in adapters))
    if loaded and llama_cpp.llama_set_adapters_lora(context, (kind * len(loaded))(*loaded), len(loaded), scales):
        raise EngineFailed(f"llama.cpp does not apply the LoRA adapters{words()}.", "Leave --lora out.")


class _Override(ctypes.Structure):
    """llama_model_tensor_buft_override; the bindings do not declare it."""

    _fields_ = [("pattern", ctypes.c_char_p), ("buft", ctypes.c_void_p)]


def _overrides(n_layers: int) -> ctypes.Array[_Override]:
    """The experts of the first n_layers layers go to plain RAM; a null entry ends the list."""
    layers = "|".join(str(layer) for layer in range(n_layers))
    pattern = rf"blk\.({layers})\.{EXPERTS}"
    return (_Override * 2)(_Override(pattern.encode(), ram_buffer_type()), _Override(None, None))
