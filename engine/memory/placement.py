"""Where a model's parts go and how large its context is: all that decides what it takes of each device.

A plan is made for a Placement, and the runtime loads with exactly that one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One way to put a model and its context onto this machine's devices.

    n_ctx: tokens of the context. n_ubatch: tokens that are computed at once. swa_full: windowed layers keep every cell.
    n_gpu_layers: layers on GPUs, counted from the last; the output counts as one of them, as in llama.cpp.
    tensor_split: each GPU's share of those layers, in the devices' order; () lets llama.cpp split by free memory.
    expert_layers_in_ram: the first so many layers keep their experts in RAM, on whatever device they are.
    kv_on_gpu: a layer's KV cache lies where the layer does; if not, all of it lies in RAM.
    repack: llama.cpp may copy quantized weights into RAM in an order that its CPU kernels read faster.
    """

    n_ctx: int
    kv_type: str = "f16"
    n_ubatch: int = 512
    swa_full: bool = False
    n_gpu_layers: int = 0
    tensor_split: tuple[float, ...] = ()
    expert_layers_in_ram: int = 0
    kv_on_gpu: bool = True
    repack: bool = True


def placement_from(fields: Mapping[str, Any]) -> Placement:
    """A Placement from what dataclasses.asdict made of it, after a way through JSON."""
    return Placement(**{**fields, "tensor_split": tuple(fields["tensor_split"])})
