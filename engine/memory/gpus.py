"""The GPUs that llama.cpp would use, of any vendor, through ggml's own device registry; and ggml's plain RAM.

Imports llama.cpp, and asking a GPU for its memory starts its driver, so only child processes import this.
"""

import ctypes
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import llama_cpp
from llama_cpp._ctypes_extensions import load_shared_library

from engine.memory.budget import Device

_CPU, _GPU, _INTEGRATED = 0, 1, 2  # enum ggml_backend_dev_type


class _Caps(ctypes.Structure):
    """ggml_backend_dev_caps."""

    _fields_ = [
        (name, ctypes.c_bool) for name in ("async", "host_buffer", "buffer_from_host_ptr", "events", "mmap_support")
    ]


class _Props(ctypes.Structure):
    """ggml_backend_dev_props."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("caps", _Caps),
    ]


_pointer = ctypes.c_void_p
_PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ggml_backend_dev_count": (ctypes.c_size_t, ()),
    "ggml_backend_dev_get": (_pointer, (ctypes.c_size_t,)),
    "ggml_backend_dev_by_type": (_pointer, (ctypes.c_int,)),
    "ggml_backend_dev_type": (ctypes.c_int, (_pointer,)),
    "ggml_backend_dev_get_props": (None, (_pointer, ctypes.POINTER(_Props))),
    "ggml_backend_dev_backend_reg": (_pointer, (_pointer,)),
    "ggml_backend_reg_name": (ctypes.c_char_p, (_pointer,)),
    "ggml_backend_dev_buffer_type": (_pointer, (_pointer,)),
    "ggml_backend_buft_name": (ctypes.c_char_p, (_pointer,)),
}


@dataclass(frozen=True, slots=True)
class _Found:
    """A device as the registry has it. id: the same for one GPU that two back ends see; empty where not known."""

    device: Device
    registry: str
    integrated: bool
    id: bytes


def read_gpus() -> tuple[Device, ...]:
    """The GPUs in the order in which llama.cpp splits a model over them, with their free and total memory in bytes.

    The rule is that of llama_prepare_model_devices (src/llama.cpp): remote ones first, then each GPU once, integrated
    ones only where there is no other.
    """
    llama_cpp.llama_supports_gpu_offload()  # loads the back ends that come as libraries of their own
    found = list(_registered())
    remote = [each for each in found if not each.integrated and each.registry == "RPC"]
    own: list[_Found] = []
    for each in found:
        is_new = not each.id or each.id not in [other.id for other in own]
        if not each.integrated and each.registry != "RPC" and is_new:
            own.append(each)
    integrated = [each for each in found if each.integrated]
    if not own:
        own = [each for each in integrated if each.registry == integrated[0].registry]
    return tuple(each.device for each in (*remote, *own))


def ram_buffer_type() -> int | None:
    """The address of ggml's buffer type for plain RAM: a ggml_backend_buffer_type_t."""
    address: int | None = _call("ggml_backend_dev_buffer_type", _call("ggml_backend_dev_by_type", _CPU))
    return address


def _registered() -> Iterator[_Found]:
    """The registry's devices of type GPU and IGPU, in its order."""
    for index in range(_call("ggml_backend_dev_count")):
        device = _call("ggml_backend_dev_get", index)
        kind = _call("ggml_backend_dev_type", device)
        if kind not in (_GPU, _INTEGRATED):
            continue
        props = _Props()
        _call("ggml_backend_dev_get_props", device, ctypes.byref(props))
        registry = _text(_call("ggml_backend_reg_name", _call("ggml_backend_dev_backend_reg", device)))
        buffer = _text(_call("ggml_backend_buft_name", _call("ggml_backend_dev_buffer_type", device)))
        # Metal calls every GPU one of its own, also Apple's, whose memory is main memory
        shares_ram = kind == _INTEGRATED or (registry in ("MTL", "Metal") and platform.machine() == "arm64")
        value = Device(_text(props.name), "gpu", props.memory_free, props.memory_total, shares_ram, buffer)
        yield _Found(value, registry, kind == _INTEGRATED, props.device_id or b"")


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


def _call(name: str, *arguments: Any) -> Any:
    """Calls one of the prototypes above."""
    function = getattr(_library(name), name)
    function.restype, function.argtypes = _PROTOTYPES[name]
    return function(*arguments)


def _library(name: str) -> Any:
    """libllama, whose dependencies are searched too; on Windows they have to be named.

    A wheel holds each library under three names, as copies, and another copy than the one that libllama has loaded
    would have a registry of its own, without the back ends that were added to llama.cpp's.
    """
    if hasattr(llama_cpp.llama_cpp._lib, name):
        return llama_cpp.llama_cpp._lib
    library = load_shared_library("ggml", llama_cpp.llama_cpp._base_path)
    return library if hasattr(library, name) else load_shared_library("ggml-base", llama_cpp.llama_cpp._base_path)
