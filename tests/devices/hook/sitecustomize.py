"""Runs when Python starts: registers the servers in LONGDESK_TEST_GPUS as devices as soon as llama.cpp is loaded."""

import ctypes
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_ENDPOINTS = os.environ.get("LONGDESK_TEST_GPUS", "")


class _Finder:
    """Finds the bindings once, and adds to what loading them does."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != "llama_cpp.llama_cpp":
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            load = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                _register(module._lib)

            loader.exec_module = exec_module
        return spec


def _register(library: Any) -> None:
    add, register = library.ggml_backend_rpc_add_server, library.ggml_backend_register
    add.argtypes, add.restype = (ctypes.c_char_p,), ctypes.c_void_p
    register.argtypes, register.restype = (ctypes.c_void_p,), None
    for endpoint in _ENDPOINTS.split(","):
        if server := add(endpoint.encode()):
            register(server)


if _ENDPOINTS:
    sys.meta_path.insert(0, _Finder())  # type: ignore[arg-type]
