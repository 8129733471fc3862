"""What llama.cpp says while it works: its warnings and errors, and where it put the KV cache."""

import ctypes
import re
from collections import deque
from collections.abc import Iterable

import llama_cpp

from engine.memory.budget import owner
from engine.memory.gpus import read_gpus

# "llama_kv_cache:        CPU KV buffer size =  6144.00 MiB"; recurrent models say RS for their states
_KV_BUFFER = re.compile(r"(\S+) +(?:KV|RS) buffer size = +([\d.]+) MiB")

_WINDOWED = re.compile(r"creating +SWA KV cache, size = (\d+) cells")
_LOG_ROUNDING = 16 << 10  # a line for each kind of layer, each off by 5 KiB at most


def kv_places(lines: Iterable[str], planned: tuple[tuple[str, int], ...] = ()) -> tuple[tuple[str, int], ...]:
    """Bytes of the KV cache by device, as llama.cpp's log has them, in hundredths of MiB.

    planned: the exact figures, which are given back where the log agrees with them.
    """
    gpus = read_gpus()
    places: dict[str, int] = {}
    for match in filter(None, map(_KV_BUFFER.search, lines)):
        name = owner(match[1], gpus)
        places[name] = places.get(name, 0) + round(float(match[2]) * (1 << 20))
    expected = {name: n_bytes for name, n_bytes in planned if n_bytes}
    agrees = places.keys() == expected.keys() and all(
        abs(places[name] - n_bytes) <= _LOG_ROUNDING for name, n_bytes in expected.items()
    )
    return tuple((expected if agrees else places).items())


def windowed_cells(lines: Iterable[str]) -> int:
    """Cells that windowed layers have room for, as llama.cpp's log has it; 0 where it says nothing of such layers."""
    return next((int(match[1]) for match in map(_WINDOWED.search, lines) if match), 0)


def listen(log: deque[str], sizes: deque[str]) -> object:
    """Keeps llama.cpp's warnings and errors, and what it says of sizes; the callback must outlive the model."""

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def callback(level: int, text: bytes, _: object) -> None:
        if level in (3, 4):  # GGML_LOG_LEVEL_WARN, GGML_LOG_LEVEL_ERROR
            log.append(text.decode("utf-8", "replace").strip())
        elif b"buffer size" in text or b"SWA KV cache" in text:
            sizes.append(text.decode("utf-8", "replace").strip())

    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    return callback
