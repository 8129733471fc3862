"""engine.gguf: equal to gguf-py where a file is whole, a sentence where it is not."""

import os
import random
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from engine.errors import ModelRefused
from engine.gguf import StringArray, read_header
from engine.tensor_types import TENSOR_TYPES
from tests.models import broken
from tests.models.cache import cached

MODELS = ["scout_without_vocabulary", "llama_gguf", "gemma3_gguf", "starter_gguf"]


@pytest.fixture
def scout_without_vocabulary() -> Path:
    """gguf-py takes 9 s to read Llama 4's vocabulary; test_vocabulary holds it against Meta's own."""
    return cached("scout", vocab="none")


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str = "t", dims: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def small_gguf(
    pairs: tuple[bytes, ...] = (), tensors: tuple[bytes, ...] = (), *, version: int = 3, n_data: int = 128
) -> bytes:
    """A file by hand; the data begins at the next multiple of 32."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join(pairs + tensors)
    return head + bytes(-len(head) % 32) + bytes(n_data)


WHOLE = small_gguf(
    (
        pair("general.architecture", 8, text("llama")),
        pair("a.bool", 7, b"\x01"),
        pair("a.float", 6, struct.pack("<f", 0.5)),
        pair("a.strings", 9, struct.pack("<IQ", 8, 3) + text("") + text("größe") + text("x" * 40)),
        pair("a.numbers", 9, struct.pack("<IQ5i", 5, 5, *range(-2, 3))),
    ),
    (tensor("one", (16, 1), 0, 0), tensor("two", (32, 1, 2), 8, 64)),
    n_data=64 + 68,
)


def write(folder: Path, data: bytes) -> Path:
    path = folder / "x.gguf"
    path.write_bytes(data)
    return path


def plain(value: object) -> object:
    return list(value) if isinstance(value, StringArray) else value


@pytest.mark.slow  # 5.1 s
@pytest.mark.parametrize("name", MODELS)
def test_headers_equal_gguf_pys(name: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(name)
    header, reader = read_header(path), gguf.GGUFReader(path)
    fields = {key: field for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert header.metadata.keys() == fields.keys()
    for key, field in fields.items():
        if field.types[-1] is gguf.GGUFValueType.STRING and len(field.types) > 1:
            theirs = [bytes(field.parts[place]) for place in field.data]  # contents() takes seconds
            assert list(header.strings(key).raw()) == theirs, key
        else:
            assert header.metadata[key] == field.contents(), key
    assert header.data_start == reader.data_offset
    assert [
        (tensor.name, tensor.dims, tensor.type.name, tensor.n_bytes, header.data_start + tensor.offset)
        for tensor in header.tensors
    ] == [
        (tensor.name, tuple(map(int, tensor.shape)), tensor.tensor_type.name, tensor.n_bytes, tensor.data_offset)
        for tensor in reader.tensors
    ]
    assert header.tensor_bytes == sum(int(tensor.n_bytes) for tensor in reader.tensors)


def test_tensor_types_equal_gguf_pys() -> None:
    ours = {number: (type_.name, type_.n_elements, type_.n_bytes) for number, type_ in TENSOR_TYPES.items()}
    assert ours == {type_.value: (type_.name, *sizes) for type_, sizes in gguf.GGML_QUANT_SIZES.items()}


def test_fields_by_type(tmp_path: Path) -> None:
    header = read_header(write(tmp_path, WHOLE))
    assert header.text("general.architecture") == "llama" and header.text("a.bool", "no") == "no"
    assert header.integer("a.bool") == 1 and header.integer("a.float", 7) == 7
    assert header.integers("a.numbers") == (-2, -1, 0, 1, 2)
    assert header.integers("a.bool") == header.integers("a.strings") == header.integers("nonsuch") == ()
    assert list(header.strings("a.strings")) == ["", "größe", "x" * 40]
    assert len(header.strings("a.numbers")) == 0
    assert header.tensor_bytes == 64 + 68
    assert "größe" not in repr(header)


def test_the_digest_is_of_the_header_alone(tmp_path: Path) -> None:
    first = read_header(write(tmp_path, WHOLE))
    assert read_header(write(tmp_path, WHOLE[:-1] + b"\x01")).digest == first.digest
    assert read_header(write(tmp_path, WHOLE.replace(b"llama", b"lamas"))).digest != first.digest


def test_a_header_alone_is_whole(tmp_path: Path) -> None:
    """Files of a vocabulary alone end right behind it."""
    data = small_gguf((pair("k", 7, b"\x01"),), n_data=0).rstrip(b"\0")
    assert len(data) % 32
    assert read_header(write(tmp_path, data)).tensor_bytes == 0


def test_text_that_is_no_utf8_survives(tmp_path: Path) -> None:
    header = read_header(write(tmp_path, small_gguf((pair("k", 8, struct.pack("<Q", 2) + b"\xff\xfe"),))))
    assert header.text("k").encode("utf-8", "surrogateescape") == b"\xff\xfe"


REFUSALS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "three bytes": (b"GGU", "is not a GGUF file"),
    "wrong magic": (b"GGML" + WHOLE[4:], "is not a GGUF file"),
    "magic alone": (b"GGUF", "ends inside its header"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 1, 1) + bytes(64), "is a big-endian GGUF"),
    "version 0": (small_gguf(version=0), "its version is 0"),
    "version 1": (small_gguf(version=1), "its version is 1"),
    "version 9": (small_gguf(version=9), "its version is 9"),
    "2^60 tensors": (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1), "1,152,921,504,606,846,976 tensors"),
    "2^60 fields": (b"GGUF" + struct.pack("<IQQ", 3, 1, 1 << 60), "it claims 1,152,921,504,606,846,976 metadata"),
    "more tensors than bytes": (b"GGUF" + struct.pack("<IQQ", 3, 1 << 15, 0), "ends inside its header"),
    "a string of 2^63": (small_gguf((pair("k", 8, struct.pack("<Q", 1 << 63)),)), "ends inside its header"),
    "2^62 strings": (small_gguf((pair("k", 9, struct.pack("<IQ", 8, 1 << 62)),)), "4,611,686,018,427,387,904 items"),
    "2^62 numbers": (small_gguf((pair("k", 9, struct.pack("<IQ", 12, 1 << 62)),)), "4,611,686,018,427,387,904 items"),
    "an array of arrays": (small_gguf((pair("k", 9, struct.pack("<IQ", 9, 1)),)), "elements of the unknown type 9"),
    "an unknown field type": (small_gguf((pair("k", 13, b""),)), "of the unknown type 13"),
    "a field twice": (small_gguf((pair("k", 7, b"\x00"),) * 2), "the field 'k' stands in it twice"),
    "odd alignment": (small_gguf((pair("general.alignment", 4, struct.pack("<I", 3)),)), "its alignment is 3"),
    "alignment 0": (small_gguf((pair("general.alignment", 4, bytes(4)),)), "its alignment is 0"),
    "alignment as text": (small_gguf((pair("general.alignment", 8, text("x")),)), "its alignment is 'x'"),
    "no dimensions": (small_gguf((), (tensor(dims=()),)), "has 0 dimensions"),
    "five dimensions": (small_gguf((), (tensor(dims=(1,) * 5),)), "has 5 dimensions"),
    "a dimension of 0": (small_gguf((), (tensor(dims=(32, 0)),)), "has the shape [32, 0]"),
    "a broken block": (small_gguf((), (tensor(dims=(33,), kind=8),)), "of type Q8_0 has the shape [33]"),
    "a type to come": (small_gguf((), (tensor(kind=99),)), "of the unknown type 99"),
    "a tensor too large": (small_gguf((), (tensor(dims=(1 << 60,)),)), "is cut short: its tensors need 4,611,"),
    "a tensor too far": (small_gguf((), (tensor(offset=1 << 63),)), "is cut short: its tensors need 9,223,"),
    "a tensor twice": (small_gguf((), (tensor(), tensor(offset=128)), n_data=256), "the tensor 't' stands in it twice"),
    "tensors that overlap": (small_gguf((), (tensor(), tensor("u", offset=64)), n_data=256), "'u' begins at 64"),
    "a gap before a tensor": (small_gguf((), (tensor(offset=32),), n_data=160), "'t' begins at 32, not at 0"),
    "a shape over 2^64": (
        small_gguf((), (tensor(dims=(1 << 33, 1 << 33)),)),
        "is cut short: its tensors need 295,",
    ),
    "a name that is too long": (small_gguf((), (tensor("n" * 64),)), "a tensor's name has 64 characters"),
    "a long text": (small_gguf((pair("k", 8, text("x" * (1 << 21))),)), "a text of 2,097,152 bytes"),
    "arrays over arrays": (
        small_gguf(tuple(pair(f"k{n}", 9, struct.pack("<IQ", 0, 1 << 20) + bytes(1 << 20)) for n in range(3))),
        "it claims arrays of 3,145,728 items",
    ),
    "a byte short": (WHOLE[:-1], "is cut short: its tensors need"),
    "64-bit floats": (small_gguf((), (tensor("d", (2, 8), 28),)), "holds 1 F64 tensors ('d' is one)"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_each_fault_has_its_sentence(name: str, tmp_path: Path) -> None:
    data, fact = REFUSALS[name]
    with pytest.raises(ModelRefused) as caught:
        read_header(write(tmp_path, data))
    assert fact in caught.value.fact and str(tmp_path) in caught.value.fact
    assert caught.value.fact.endswith(".") and caught.value.remedy.endswith(".")


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a").write_bytes(WHOLE)
    for path, fact in (
        (tmp_path / "nonsuch", "There is no model file at"),
        (tmp_path, "is a folder"),
        (tmp_path / "pipe", "is not a regular file"),
        (tmp_path / "a" / "b", "cannot be read: Not a directory"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
    ):
        with pytest.raises(ModelRefused, match=fact):
            read_header(path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999999])
def test_a_download_that_broke_off(share: float, llama_gguf: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="is cut short"):
        read_header(broken.truncated(llama_gguf, tmp_path / "x.gguf", share))


def test_the_broken_models(llama_gguf: Path, tmp_path: Path) -> None:
    for make, fact in (
        (lambda path: broken.cut_header(llama_gguf, path), "ends inside its header"),
        (lambda path: broken.wrong_magic(llama_gguf, path), "is not a GGUF file"),
        (broken.with_f64_tensor, "F64"),
        (broken.garbage, "is not a GGUF file"),
    ):
        path = make(tmp_path / "x.gguf")  # type: ignore[operator]
        with pytest.raises(ModelRefused, match=fact):
            read_header(path)


def test_truncation_anywhere(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE)
    assert len(WHOLE) == read_header(path).file_bytes
    for n_bytes in range(len(WHOLE)):
        path.write_bytes(WHOLE[:n_bytes])
        with pytest.raises(ModelRefused):
            read_header(path)


def test_a_large_file_is_not_read(scout_gguf: Path, tmp_path: Path) -> None:
    header = read_header(scout_gguf)
    sparse = tmp_path / "x.gguf"
    with scout_gguf.open("rb") as file:
        sparse.write_bytes(file.read(header.data_start))
    os.truncate(sparse, 57 << 30)
    assert read_header(sparse).digest == header.digest
    np.testing.assert_array_equal(
        header.integers("tokenizer.ggml.token_type"), read_header(sparse).integers("tokenizer.ggml.token_type")
    )


def strings_of(n: int, longest: int, seed: int) -> list[bytes]:
    """Random ones, of which some are empty and some hold what a length looks like."""
    chance = random.Random(seed)
    odd = (b"", b"\0" * 7, b"\0" * 9, b"a" + b"\0" * 8 + b"b", struct.pack("<QQ", 3, 5), b"x\0")
    return [
        chance.choice(odd) if chance.random() < 0.02 else chance.randbytes(chance.randrange(longest)) for _ in range(n)
    ]


STRINGS = {
    "none": [],
    "one": [b"a"],
    "empty ones": [b""] * 500,
    "plain": [b"ab", b"c" * 255, b""] * 9_000,
    "long ones": [b"a" * 256, b"b", b"c" * 70_000, b"d" * 255, b"e" * 300_000, b"f"],
    "a block's end in every place": [b"x" * (at % 97) for at in range(20_000)],
    "short and odd": strings_of(30_000, 20, 1),
    "long and odd": strings_of(3_000, 600, 2),
    "zeros": [bytes(n % 40) for n in range(20_000)],
}


@pytest.mark.parametrize("strings", STRINGS.values(), ids=STRINGS)
def test_arrays_of_strings_are_found_at_once_as_one_by_one(tmp_path: Path, strings: list[bytes]) -> None:
    """Between two other fields: where one ends wrongly, the next is nonsense."""
    array = struct.pack("<IQ", 8, len(strings)) + b"".join(struct.pack("<Q", len(each)) + each for each in strings)
    pairs = (pair("a", 8, text("before")), pair("b", 9, array), pair("c", 8, text("behind")))
    header = read_header(write(tmp_path, small_gguf(pairs)))
    found = header.strings("b")
    assert list(found.raw()) == strings and len(found) == len(strings)
    assert (header.text("a"), header.text("c")) == ("before", "behind")
    assert [found[at] for at in range(0, len(strings), 97)] == list(found)[::97]


def test_many_strings_that_are_not_plain_to_see_are_no_trap(tmp_path: Path) -> None:
    """Half a million, each with what ends the quick way: found one by one, not looked for anew each time."""
    each = struct.pack("<Q", 9) + bytes(8) + b"x"
    array = struct.pack("<IQ", 8, 500_000) + each * 500_000
    assert len(read_header(write(tmp_path, small_gguf((pair("b", 9, array),)))).strings("b")) == 500_000
