"""What builders need of gguf-py: a GGUF that is there whole or not at all, and random weights of the right type."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import gguf
import numpy as np
import numpy.typing as npt

from tests.models.shape import Shape

DType = Literal["F16", "F32"]

_NUMPY = {"F16": np.float16, "F32": np.float32}
_FILE_TYPE = {"F16": gguf.LlamaFileType.MOSTLY_F16, "F32": gguf.LlamaFileType.ALL_F32}


@contextmanager
def new_gguf(
    path: Path,
    architecture: str,
    *,
    name: str,
    dtype: DType = "F16",
    sparse: bool = False,
    kind: str = gguf.GGUFType.MODEL,
) -> Iterator[gguf.GGUFWriter]:
    """A writer to fill; on leaving, the file is written beside `path` and renamed to it.

    `kind`: what the file says it is, one of gguf.GGUFType's names.
    `sparse`: tensors are given by add_tensor_info alone, and the file is as long as they need but holds nothing there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    writer = gguf.GGUFWriter(part, architecture)
    writer.add_type(kind)
    writer.add_name(name)
    writer.add_file_type(_FILE_TYPE[dtype])
    try:
        yield writer
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        if sparse:
            writer.write_ti_data_to_file()
            writer.close()
            os.truncate(part, _whole_length(part, writer))
        else:
            writer.write_tensors_to_file()
            writer.close()
        part.replace(path)
    finally:
        writer.close()
        part.unlink(missing_ok=True)


def _whole_length(header: Path, writer: gguf.GGUFWriter) -> int:
    """Bytes of the file once its tensors are in it."""
    sizes = (header.stat().st_size, *(tensor.nbytes for tensor in writer.tensors[0].values()))
    return sum(writer.ggml_pad(n_bytes, writer.data_alignment) for n_bytes in sizes)


def copy_fields(source: gguf.GGUFReader, writer: gguf.GGUFWriter) -> None:
    """Give a writer all metadata of a file but the architecture, which it was made for."""
    for name, field in source.fields.items():
        if not name.startswith("GGUF.") and name != gguf.Keys.General.ARCHITECTURE:
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)


def copy_tensor(tensor: gguf.ReaderTensor, writer: gguf.GGUFWriter) -> None:
    """Give a writer one tensor of a file, as it is."""
    writer.add_tensor(tensor.name, np.array(tensor.data), raw_dtype=tensor.tensor_type)


class Weights:
    """Draws a model's tensors into a writer, one after another from one seed.

    Matrices take the model's type, vectors stay F32 as in every real GGUF. A `gain` is what a layer does to the size
    of its input: entries get the standard deviation gain / sqrt(inputs). Everything is float32 before it is narrowed:
    numpy makes float64 of a float32 array times an np.float64, and an F64 tensor crashes llama.cpp when it decodes.
    """

    def __init__(self, writer: gguf.GGUFWriter, *, seed: int = 0, dtype: DType = "F16") -> None:
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

    def vector(self, name: str, values: npt.NDArray[np.float32]) -> None:
        """A fixed F32 vector. `name` is the tensor's, whole."""
        self._writer.add_tensor(name, values.astype(np.float32))

    def embedding(self, name: str, shape: tuple[int, int], *, size: float = 1.0) -> None:
        """Rows for tokens, each entry with the standard deviation `size`."""
        self.matrix(name, shape, gain=size * shape[-1] ** 0.5)

    def norm(self, name: str, length: int, *, value: float = 1.0) -> None:
        """A norm's weight: about `value`, a little different in every place."""
        spread = self._random.uniform(0.9, 1.1, length).astype(np.float32)
        self.vector(f"{name}.weight", spread * np.float32(value))

    def layer_norm(self, name: str, length: int) -> None:
        """A norm's weight and bias, as encoders of images have them."""
        self.norm(name, length)
        self.bias(name, length, size=0.1)

    def kernel(self, name: str, shape: tuple[int, int, int, int]) -> None:
        """A convolution's kernel (outputs, channels, rows, columns) in F32. `name` is the tensor's, whole."""
        values = self._random.standard_normal(shape, dtype=np.float32)
        self.vector(name, values / np.float32(np.prod(shape[1:]) ** 0.5))

    def bias(self, name: str, length: int, *, size: float = 0.5) -> None:
        """A bias with the standard deviation `size`."""
        self.vector(f"{name}.bias", self._random.standard_normal(length, dtype=np.float32) * np.float32(size))

    def attention(self, block: str, shape: Shape, *, gain: float = 1.0) -> None:
        """A layer's norm, its queries, keys and values, and what joins them; `gain` is for all but the values."""
        n_embd, n_queries, n_keys = shape.n_embd, shape.n_head * shape.head_dim, shape.n_head_kv * shape.head_dim
        self.norm(f"{block}.attn_norm", n_embd)
        self.matrix(f"{block}.attn_q", (n_queries, n_embd), gain=gain)
        self.matrix(f"{block}.attn_k", (n_keys, n_embd), gain=gain)
        self.matrix(f"{block}.attn_v", (n_keys, n_embd))
        self.matrix(f"{block}.attn_output", (n_embd, n_queries), gain=gain)

    def feed_forward(self, block: str, n_embd: int, n_ff: int, *, suffix: str = "") -> None:
        """A gated feed-forward block; `suffix` is _shexp for a shared expert."""
        self.matrix(f"{block}.ffn_gate{suffix}", (n_ff, n_embd))
        self.matrix(f"{block}.ffn_up{suffix}", (n_ff, n_embd))
        self.matrix(f"{block}.ffn_down{suffix}", (n_embd, n_ff))


class NoWeights(Weights):
    """The same tensors by name, shape and type, without a byte of them: for `new_gguf(sparse=True)`."""

    def __init__(self, writer: gguf.GGUFWriter, quantization: gguf.GGMLQuantizationType) -> None:
        super().__init__(writer)
        self._quantization = quantization

    def matrix(
        self,
        name: str,
        shape: tuple[int, ...],
        *,
        gain: float = 1.0,
        rows: npt.NDArray[np.float32] | None = None,
        exact: bool = False,
    ) -> None:
        """A tensor of the quantization, or of F32 where it is `exact`."""
        self._add(f"{name}.weight", shape, gguf.GGMLQuantizationType.F32 if exact else self._quantization)

    def vector(self, name: str, values: npt.NDArray[np.float32]) -> None:
        """A tensor of F32."""
        self._add(name, values.shape, gguf.GGMLQuantizationType.F32)

    def _add(self, name: str, shape: tuple[int, ...], kind: gguf.GGMLQuantizationType) -> None:
        n_elements, n_bytes = gguf.GGML_QUANT_SIZES[kind]
        count = int(np.prod(shape, dtype=np.int64))
        self._writer.add_tensor_info(name, shape, np.dtype(np.float32), count // n_elements * n_bytes, raw_dtype=kind)
