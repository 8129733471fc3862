"""LoRA adapters on a context of llama.cpp: loaded beside its model and applied to all that it decodes."""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp

from engine.errors import EngineFailed


def apply_adapters(model: Any, context: Any, adapters: Sequence[tuple[Path, float]]) -> None:
    """From now on the context decodes with these, each at its scale. They are freed with the model.

    Raises EngineFailed where llama.cpp does not load one; what it would refuse was looked for before, in
    engine.memory.adapter.
    """
    if not adapters:
        return
    loaded = []
    for path, _ in adapters:
        adapter = llama_cpp.llama_adapter_lora_init(model, os.fsencode(path))
        if not adapter:
            raise EngineFailed(f"llama.cpp cannot load the LoRA adapter {path}.", "Use another conversion of it.")
        loaded.append(adapter)
    pointers = (llama_cpp.llama_adapter_lora_p_ctypes * len(loaded))(
        *(ctypes.cast(each, llama_cpp.llama_adapter_lora_p_ctypes) for each in loaded)
    )
    scales = (ctypes.c_float * len(loaded))(*(scale for _, scale in adapters))
    if llama_cpp.llama_set_adapters_lora(context, pointers, len(loaded), scales) != 0:
        raise EngineFailed("llama.cpp does not apply the LoRA adapters.", "Leave --lora out.")
