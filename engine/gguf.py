"""The header of a GGUF file: metadata and tensor infos, read without llama.cpp and without touching a weight.

Owns the file format and its limits, so that a broken file is refused here in a sentence and never reaches llama.cpp,
which ends the process on some of them. What the fields mean is left to engine.memory.card and engine.tokens.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from engine.errors import ModelRefused
from engine.model_file import cut_short, no_gguf, nothing_there, unfit_place
from engine.tensor_types import TENSOR_TYPES, TensorType

_MAGIC = b"GGUF"
_BLOCK = 64 << 10  # bytes read at once, so that hardly a weight is read with a header (Llama 4: 9 MiB)
# limits that keep a hostile header below a second and 200 MiB
_MAX_HEADER = 48 << 20
_MAX_PAIRS = 1 << 16
_MAX_ITEMS = 1 << 21  # of all arrays; Llama 4 has 202,048 tokens, their types and 439,802 merges
_MAX_TEXT = 1 << 20  # bytes of one string; chat templates take some 10,000
_MAX_TENSORS = 1 << 15  # 512 layers, which is llama.cpp's own limit, of 64 tensors
_MAX_NAME = 63  # bytes of a tensor's name, by ggml.h
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_WINDOW, _FEW, _ROW = 256 << 10, 128, 4096  # bytes in which strings are looked for; strings, see _string_array


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: dims in ggml's order (the row length first), offset in bytes from the start of the tensor data."""

    name: str
    dims: tuple[int, ...]
    type: TensorType
    offset: int

    @property
    def n_bytes(self) -> int:
        count = 1
        for dim in self.dims:
            count *= dim
        return count // self.type.n_elements * self.type.n_bytes


@dataclass(frozen=True, slots=True)
class StringArray:
    """An array of strings that is decoded only when asked for: a vocabulary has hundreds of thousands of them.

    data: as it stands in the file, each string behind its length in 8 bytes. heads: where each begins in it.
    """

    data: bytes = field(repr=False)
    heads: NDArray[np.int64] = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.heads)

    def raw(self) -> Iterator[bytes]:
        """The strings as bytes, in order."""
        ends = [*self.heads[1:].tolist(), len(self.data)]
        return (self.data[head + 8 : end] for head, end in zip(self.heads.tolist(), ends, strict=False))

    def __iter__(self) -> Iterator[str]:
        for raw in self.raw():
            yield raw.decode("utf-8", "surrogateescape")

    def __getitem__(self, number: int) -> str:
        """One string; the first is 0."""
        head = int(self.heads[number])
        end = head + 8 + int.from_bytes(self.data[head : head + 8], "little")
        return self.data[head + 8 : end].decode("utf-8", "surrogateescape")


Scalar = int | float | bool | str
Value = Scalar | list[Scalar] | StringArray


@dataclass(frozen=True)
class Header:
    """What stands before the weights of one GGUF file."""

    path: Path
    metadata: dict[str, Value] = field(repr=False)
    tensors: tuple[TensorInfo, ...] = field(repr=False)
    data_start: int  # bytes from the start of the file
    file_bytes: int
    digest: str  # hex blake2b-128 of the header's bytes

    @cached_property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors in this file, padding left out: what llama_model_size() counts."""
        return sum(tensor.n_bytes for tensor in self.tensors)

    def text(self, key: str, default: str = "") -> str:
        """A string field, or the default where it is missing or of another type."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else default

    def integer(self, key: str, default: int = 0) -> int:
        """An integer field, or the default where it is missing or of another type."""
        value = self.metadata.get(key)
        return int(value) if isinstance(value, int) else default

    def integers(self, key: str) -> tuple[int, ...]:
        """An integer array, a lone integer as a tuple of one, or () where it is missing."""
        value = self.metadata.get(key)
        if isinstance(value, bool):
            return ()
        if isinstance(value, int):
            return (value,)
        if isinstance(value, list) and value and type(value[0]) is int:  # all are of one type
            return tuple(value)  # type: ignore[arg-type]
        return tuple(int(item) for item in value if isinstance(item, int)) if isinstance(value, list) else ()

    def strings(self, key: str) -> StringArray:
        """A string array, empty where it is missing or of another type."""
        value = self.metadata.get(key)
        return value if isinstance(value, StringArray) else StringArray(b"", np.empty(0, np.int64))


def read_header(path: Path) -> Header:
    """Reads and checks a GGUF header; every tensor must lie whole inside the file and be of a type that llama.cpp runs.

    Reads no more than the header (12.5 MiB with Llama 4's vocabulary), whatever the size of the file.
    Raises ModelRefused: not there, no GGUF, another version or byte order, malformed, cut short, an F64 tensor.
    """
    try:
        found = path.stat()
        if unfit := unfit_place(path, found):
            raise ModelRefused(*unfit)
        with path.open("rb") as file:
            header = _Cursor(path, file, found.st_size).header()
    except FileNotFoundError:
        raise ModelRefused(*nothing_there(path)) from None
    except OSError as error:
        raise ModelRefused(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    _check_tensors(header)
    return header


class _Cursor:
    """Reads forward through the header, growing its buffer by blocks and never past the end of the file."""

    def __init__(self, path: Path, file: BinaryIO, file_bytes: int) -> None:
        self.path, self.file, self.file_bytes = path, file, file_bytes
        self.buffer = bytearray()
        self.at = 0
        self.n_items = 0  # in arrays so far

    def header(self) -> Header:
        self._check_magic()
        (version,) = self._unpack("<I")
        if version and not version & 0xFFFF:
            raise ModelRefused(f"{self.path} is a big-endian GGUF.", "Convert it to little-endian first.")
        if version not in (2, 3):
            raise self._malformed(f"its version is {version}; versions 2 and 3 are known")
        n_tensors, n_pairs = self._unpack("<QQ")
        if n_pairs > _MAX_PAIRS or n_tensors > _MAX_TENSORS:
            raise self._malformed(f"it claims {n_pairs:,} metadata fields and {n_tensors:,} tensors")
        metadata: dict[str, Value] = {}
        for _ in range(n_pairs):
            key = self._string()
            if key in metadata:
                raise self._malformed(f"the field {key[:80]!r} stands in it twice")
            metadata[key] = self._value(self._unpack("<I")[0])
        tensors = tuple(self._tensor() for _ in range(n_tensors))
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            raise self._malformed(f"its alignment is {alignment!r}")
        return Header(
            path=self.path,
            metadata=metadata,
            tensors=tensors,
            data_start=-(-self.at // alignment) * alignment,
            file_bytes=self.file_bytes,
            digest=blake2b(memoryview(self.buffer)[: self.at], digest_size=16).hexdigest(),
        )

    def _check_magic(self) -> None:
        magic = self.file.read(4)
        self.buffer += magic
        if magic != _MAGIC:
            raise ModelRefused(*no_gguf(self.path, magic + self.file.read(60)))
        self.at = 4

    def _need(self, end: int) -> None:
        """Makes the buffer reach to `end`."""
        if end > self.file_bytes:
            raise self._cut_short()
        if end > _MAX_HEADER:
            raise self._malformed(f"its header is longer than {_MAX_HEADER >> 20} MiB")
        while len(self.buffer) < end:
            block = self.file.read(_BLOCK)
            if not block:
                raise self._cut_short()
            self.buffer += block

    def _unpack(self, layout: str) -> tuple[int, ...]:
        size = struct.calcsize(layout)
        self._need(self.at + size)
        values: tuple[int, ...] = struct.unpack_from(layout, self.buffer, self.at)
        self.at += size
        return values

    def _string(self) -> str:
        (length,) = self._unpack("<Q")
        self._need(self.at + length)
        if length > _MAX_TEXT:
            raise self._malformed(f"a text of {length:,} bytes stands in it")
        raw = self.buffer[self.at : self.at + length]
        self.at += length
        return raw.decode("utf-8", "surrogateescape")

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            kind, count = self._unpack("<IQ")
            self.n_items += count
            if self.n_items > _MAX_ITEMS:
                raise self._malformed(f"it claims arrays of {self.n_items:,} items")
            return self._string_array(count) if kind == _STRING else self._array(kind, count)
        if kind not in _SCALARS:
            raise self._malformed(f"a metadata field is of the unknown type {kind}")
        return self._unpack("<" + _SCALARS[kind])[0]

    def _array(self, kind: int, count: int) -> list[Scalar]:
        if kind not in _SCALARS:
            raise self._malformed(f"an array holds elements of the unknown type {kind}")
        self._need(self.at + count * struct.calcsize(_SCALARS[kind]))
        return list(self._unpack(f"<{count}{_SCALARS[kind]}"))

    def _string_array(self, count: int) -> StringArray:
        """Finds where each string begins: many at once, and some one by one where those are not plain to see."""
        start, n_found, found = self.at, 0, [np.empty(0, np.int64)]
        while n_found < count:
            self._need(self.at + 8)
            if len(self.buffer) < self.at + _BLOCK:  # or a string that the buffer cuts would not be plain
                self.buffer += self.file.read(_BLOCK)
            heads, length = _plain_heads(bytes(self.buffer[self.at : self.at + _WINDOW]), count - n_found)
            if len(heads) < _FEW:
                heads, length = self._heads_one_by_one(min(count - n_found, _ROW))
            found.append(heads + (self.at - start))
            n_found += len(heads)
            self.at += length
        self._need(self.at)
        return StringArray(bytes(memoryview(self.buffer)[start : self.at]), np.concatenate(found))

    def _heads_one_by_one(self, count: int) -> tuple[NDArray[np.int64], int]:
        """As _plain_heads, of exactly so many strings, whatever they hold."""
        unpack, heads, at = struct.Struct("<Q").unpack_from, [0] * count, self.at
        for number in range(count):
            if at + 8 > len(self.buffer):
                self._need(at + 8)
            heads[number] = at - self.at
            at += 8 + unpack(self.buffer, at)[0]
        return np.array(heads, np.int64), at - self.at

    def _tensor(self) -> TensorInfo:
        name = self._string()
        if len(name) > _MAX_NAME:
            raise self._malformed(f"a tensor's name has {len(name):,} characters")
        (n_dims,) = self._unpack("<I")
        if not 1 <= n_dims <= 4:
            raise self._malformed(f"the tensor {name!r} has {n_dims} dimensions")
        dims = self._unpack(f"<{n_dims}Q")
        number, offset = self._unpack("<IQ")
        if number not in TENSOR_TYPES:
            raise ModelRefused(
                f"{self.path} holds the tensor {name!r} of the unknown type {number}.",
                "It may be newer than this release of llama.cpp; use another quantization.",
            )
        tensor = TensorInfo(name, dims, TENSOR_TYPES[number], offset)
        if min(dims) < 1 or dims[0] % tensor.type.n_elements:
            raise self._malformed(f"the tensor {name!r} of type {tensor.type.name} has the shape {list(dims)}")
        return tensor

    def _cut_short(self) -> ModelRefused:
        return ModelRefused(*cut_short(self.path, f"{self.path} ends inside its header: the file is cut short."))

    def _malformed(self, what: str) -> ModelRefused:
        return _malformed(self.path, what)


def _plain_heads(window: bytes, most: int) -> tuple[NDArray[np.int64], int]:
    """Where strings begin, as far as that is plain, and the bytes that they take; those that end inside only.

    A length below 256 is a byte and seven zeros. Where all that looks so stands one behind the other, each where the
    one before it ends, it is what reading one by one would find, and much faster.
    """
    data = np.frombuffer(window, np.uint8)
    zero = data == 0
    two = zero[1:-1] & zero[2:]
    four = two[:-2] & two[2:]
    at = np.flatnonzero(four[:-3] & four[3:])
    ends = at + 8 + data[at]
    if not len(at) or at[0] != 0:
        return np.empty(0, np.int64), 0
    broken = np.flatnonzero(ends[:-1] != at[1:])
    n_heads = int(broken[0]) + 1 if len(broken) else len(at)
    n_heads = min(n_heads, most, int(np.searchsorted(ends[:n_heads], len(data), side="right")))
    return at[:n_heads], int(ends[n_heads - 1]) if n_heads else 0


def _check_tensors(header: Header) -> None:
    """Refuses data past the end of the file and F64 tensors, which would end llama.cpp's process later, and what it
    refuses itself: tensors that do not lie one behind the other in the order of their infos."""
    room = header.file_bytes - header.data_start
    needed = max((tensor.offset + tensor.n_bytes for tensor in header.tensors), default=0)
    if header.tensors and needed > room:
        fact = (
            f"{header.path} is cut short: its tensors need {header.data_start + needed:,} bytes, "
            f"the file has {header.file_bytes:,}."
        )
        raise ModelRefused(*cut_short(header.path, fact))
    end, names = 0, set[str]()
    alignment = header.integer("general.alignment", 32)
    for tensor in header.tensors:
        if tensor.name in names or tensor.offset != end:
            what = "stands in it twice" if tensor.name in names else f"begins at {tensor.offset:,}, not at {end:,}"
            raise _malformed(header.path, f"the tensor {tensor.name!r} {what}")
        names.add(tensor.name)
        end += -(-tensor.n_bytes // alignment) * alignment
    doubles = [tensor.name for tensor in header.tensors if tensor.type.name == "F64"]
    if doubles:
        raise ModelRefused(
            f"{header.path} holds {len(doubles)} F64 tensors ({doubles[0]!r} is one), which llama.cpp crashes on.",
            "Convert it again with float32 weights.",
        )


def _malformed(path: Path, what: str) -> ModelRefused:
    return ModelRefused(f"{path} is malformed: {what}.", "Download or convert it again.")
