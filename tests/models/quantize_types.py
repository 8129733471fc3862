"""What llama.cpp's own quantize would make of a model, read off its dry run: `python -m tests.models.quantize_types
FILE Q4_K_M`. It reads no weight and writes nothing, so a ghost will do. Runs in a child process, which it may end."""

import ctypes
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_S

REPO = Path(__file__).resolve().parents[2]
_FILE_TYPES = {
    "Q8_0": 7, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16,
    "Q5_K_M": 17, "Q6_K": 18, "BF16": 32,
}  # fmt: skip # llama.h's enum llama_ftype
# "[   1/ 628] output.weight - [  5120, 202048, ...], type =   bf16, size =  1973.12 MiB ->   809.32 MiB (q6_K)"
_LINE = re.compile(r"^\[ *\d+/ *\d+\] +(\S+) +- \[.*?\], type = +(\w+), size = .*?(?:\((\w+)\))?$", re.MULTILINE)
_TOTAL = re.compile(r"quant size += +([\d.]+) MiB")


@dataclass(frozen=True, slots=True)
class Quantized:
    """Tensor names to upper-case type names, and the total in MiB as it is printed."""

    types: dict[str, str]
    total_mib: float


def quantized(model: Path, quantization: str) -> Quantized:
    """The types that llama.cpp gives a model's tensors at a quantization."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.models.quantize_types", model, quantization],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        cwd=REPO,
        env=os.environ | {"GGML_NO_BACKTRACE": "1"},
        timeout=PATIENCE_S,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    types = {name: (after or before).upper() for name, before, after in _LINE.findall(child.stderr)}
    total = _TOTAL.search(child.stderr)
    assert total is not None, child.stderr[-2000:]
    return Quantized(types, float(total[1]))


def main(model: str, quantization: str) -> int:
    """The child: llama.cpp's log goes to standard error."""
    import llama_cpp

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def write(level: int, text: bytes, data: object) -> None:
        sys.stderr.write(text.decode("utf-8", "replace"))

    llama_cpp.llama_log_set(write, ctypes.c_void_p(0))
    params: Any = llama_cpp.llama_model_quantize_default_params()
    params.ftype = _FILE_TYPES[quantization]
    params.dry_run = True
    params.nthread = 1
    return int(llama_cpp.llama_model_quantize(model.encode(), b"", ctypes.byref(params)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
