"""What builders need of gguf-py: a GGUF that is there whole or not at all, and random weights of the right type."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import gguf
import numpy as np
import numpy.typing as npt

DType = Literal["F16", "F32"]

_NUMPY = {"F16": np.float16, "F32": np.float32}
_FILE_TYPE = {"F16": gguf.LlamaFileType.MOSTLY_F16, "F32": gguf.LlamaFileType.ALL_F32}


@contextmanager
def new_gguf(path: Path, architecture: str, *, name: str, dtype: DType) -> Iterator[gguf.GGUFWriter]:
    """A writer to fill; on leaving, the file is written beside `path` and renamed to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    writer = gguf.GGUFWriter(part, architecture)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_file_type(_FILE_TYPE[dtype])
    try:
        yield writer
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        part.replace(path)
    finally:
        writer.close()
        part.unlink(missing_ok=True)


class Weights:
    """Draws a model's tensors into a writer, one after another from one seed.

    Matrices take the model's type, vectors stay F32 as in every real GGUF. A `gain` is what a layer does to the size
    of its input: entries get the standard deviation gain / sqrt(inputs). Everything is float32 before it is narrowed:
    numpy makes float64 of a float32 array times an np.float64, and an F64 tensor crashes llama.cpp when it decodes.
    """

    def __init__(self, writer: gguf.GGUFWriter, *, seed: int, dtype: DType) -> None:
        self._writer = writer
        self._random = np.random.default_rng(seed)
        self._type = _NUMPY[dtype]

    def matrix(
        self,
        name: str,
        shape: tuple[int, ...],
        *,
        gain: float = 1.0,
        rows: npt.NDArray[np.float32] | None = None,
        exact: bool = False,
    ) -> None:
        """A random tensor of `shape` (outputs first, inputs last); `rows` scales each output, `exact` keeps F32."""
        values = self._random.standard_normal(shape, dtype=np.float32)
        values *= np.float32(gain / shape[-1] ** 0.5)
        if rows is not None:
            values *= rows[:, None]
        self._writer.add_tensor(f"{name}.weight", values if exact else values.astype(self._type))

    def embedding(self, name: str, shape: tuple[int, int], *, size: float = 1.0) -> None:
        """Rows for tokens, each entry with the standard deviation `size`."""
        self.matrix(name, shape, gain=size * shape[-1] ** 0.5)

    def norm(self, name: str, length: int, *, value: float = 1.0) -> None:
        """A norm's weight: about `value`, a little different in every place."""
        spread = self._random.uniform(0.9, 1.1, length).astype(np.float32)
        self._writer.add_tensor(f"{name}.weight", spread * np.float32(value))

    def vector(self, name: str, values: npt.NDArray[np.float32]) -> None:
        """A fixed F32 vector."""
        self._writer.add_tensor(f"{name}.weight", values.astype(np.float32))
