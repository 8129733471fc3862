"""Raw photos, and other TIFFs that hold a picture more than once: in full, and smaller for a quick look.

What a camera's sensor saw no model is shown. Most raw photos are TIFFs whose first image is a thumbnail, which a reader
of TIFFs takes for the photo. Here it is told whether a file is one, and whether the largest JPEG in it is as large as
the photo, which stands for it then. Of a plain TIFF the smaller copies are passed over.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.corpus.formats.sniff import RAW_ENDINGS

_SIGNATURES = re.compile(
    rb"IIRO|IIRS|MMOR|IIU\0|FUJIFILMCCD-RAW|FOVb|\0MRM|II\x1a\0\0\0HEAPCCDR|....ftypcrx ", re.DOTALL
)
_CR3_TAGS = b"CMT1"  # the box of Canon's that holds the first directory as a TIFF has it
_WIDTH, _HEIGHT, _SUBFILE, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 256, 257, 254, 259, 262, 274
_SUB_IFDS, _EXIF, _DNG_VERSION, _EXIF_WIDTH, _EXIF_HEIGHT = 330, 34665, 50706, 0xA002, 0xA003
_SENSOR = frozenset({32803, 34892})  # photometric: a colour filter array, linear raw
_SENSOR_PACKED = frozenset({32767, 34713, 65000, 65535})  # compression: Sony, Nikon, Kodak, Pentax
_ORDERS = {b"II": "<", b"MM": ">"}
_SIZES = {1: "B", 3: "H", 4: "L", 13: "L"}
_MOST_DIRECTORIES, _MOST_JPEGS, _MOST_PAGES = 64, 256, 10_000
_NEARLY = 0.95  # of the photo's width: cameras cut a few rows from what the sensor saw


@dataclass(frozen=True, slots=True)
class Preview:
    """A JPEG within a raw photo. width, height: of its pixels as they lie."""

    data: bytes = field(repr=False)
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class RawPhoto:
    """A raw photo. preview: the largest JPEG in it. is_whole: whether that is as large as the photo, or nearly."""

    preview: Preview | None = None
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class _Directory:
    """What is said of one image. values: by tag, numbers alone. link_at: where the place of the next one stands."""

    at: int
    values: dict[int, tuple[int, ...]]
    link_at: int
    following: int

    def first(self, tag: int, default: int = 0) -> int:
        return self.values.get(tag, (default,))[0]

    @property
    def is_smaller_copy(self) -> bool:
        return bool(self.first(_SUBFILE) & 1)

    @property
    def size(self) -> tuple[int, int]:
        return self.first(_WIDTH), self.first(_HEIGHT)


def is_signed_raw(head: bytes) -> bool:
    """Whether a file that is no TIFF begins as a raw photo does."""
    return _SIGNATURES.match(head) is not None


def find_raw_photo(data: bytes, ending: str) -> RawPhoto | None:
    """The raw photo that a file is; None for a plain TIFF. ending: of its name."""
    at = data.find(_CR3_TAGS, 0, 1 << 16) if data[8:12] == b"crx " else -1
    directories = list(_directories(data if at < 0 else data[at + len(_CR3_TAGS) : at + (1 << 16)]))
    if not (is_signed_raw(data[:64]) or data[8:10] == b"CR" or any(map(_is_of_sensor, directories))):
        plain = ending not in RAW_ENDINGS
        if plain or not directories:
            return None
    preview = _largest_jpeg(data)
    sizes = [each.size for each in directories if not each.is_smaller_copy]
    sizes += [(each.first(_EXIF_WIDTH), each.first(_EXIF_HEIGHT)) for each in directories]
    largest: tuple[int, int] = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    full = sorted(largest)
    if preview is None or full[0] <= 0:
        return RawPhoto(preview)
    short, long = sorted((preview.width, preview.height))
    return RawPhoto(_turned(preview, directories), short >= _NEARLY * full[0] and long >= _NEARLY * full[1])


def _is_of_sensor(directory: _Directory) -> bool:
    return (
        directory.first(_PHOTOMETRIC) in _SENSOR
        or directory.first(_COMPRESSION) in _SENSOR_PACKED
        or _DNG_VERSION in directory.values
    )


def without_smaller_copies(data: bytes) -> tuple[bytes, int]:
    """A TIFF whose images are those in full, and how many smaller copies of them were passed over.

    A copy says of itself that it is one. The image that it is a copy of may stand behind it, or within it.
    """
    order = _ORDERS.get(data[:2])
    if order is None or len(data) < 8:
        return data, 0
    chain: list[_Directory] = []
    seen: set[int] = set()
    at = struct.unpack_from(order + "L", data, 4)[0]
    while at not in seen and 8 <= at <= len(data) - 2 and len(chain) < _MOST_PAGES:
        seen.add(at)
        chain.append(_directory(data, at, order))
        at = chain[-1].following
    pages = [each for each in chain if not each.is_smaller_copy]
    if not pages:
        within = [
            each for each in _directories(data) if not each.is_smaller_copy and each.at not in seen and all(each.size)
        ]
        pages = sorted(within, key=lambda each: each.size[0] * each.size[1])[-1:]
    if not pages or pages == chain:
        return data, 0
    changed = bytearray(data)
    for link_at, place in zip([4, *(each.link_at for each in pages)], [*(each.at for each in pages), 0], strict=True):
        if link_at + 4 <= len(changed):
            struct.pack_into(order + "L", changed, link_at, place)
    return bytes(changed), sum(each.is_smaller_copy for each in chain)


def _directories(data: bytes) -> Iterator[_Directory]:
    """The directories of a TIFF, those within others too; of what leads nowhere none."""
    order = _ORDERS.get(data[:2])
    if order is None or len(data) < 8:
        return
    waiting: list[int] = [struct.unpack_from(order + "L", data, 4)[0]]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        at = waiting.pop(0)
        if at in seen or not 8 <= at <= len(data) - 2:
            continue
        seen.add(at)
        directory = _directory(data, at, order)
        values = directory.values
        waiting += [*values.get(_SUB_IFDS, ()), *values.get(_EXIF, ()), directory.following]
        yield directory


def _directory(data: bytes, at: int, order: str) -> _Directory:
    (n_entries,) = struct.unpack_from(order + "H", data, at)
    found: dict[int, tuple[int, ...]] = {}
    for entry in range(at + 2, min(at + 2 + 12 * n_entries, len(data) - 11), 12):
        tag, kind, n_values = struct.unpack_from(order + "HHL", data, entry)
        size = _SIZES.get(kind)
        if size is None or not 0 < n_values <= 64:
            continue
        layout = struct.Struct(f"{order}{n_values}{size}")
        place = entry + 8 if layout.size <= 4 else struct.unpack_from(order + "L", data, entry + 8)[0]
        if place + layout.size <= len(data):
            found[tag] = layout.unpack_from(data, place)
    end = at + 2 + 12 * n_entries
    return _Directory(at, found, end, struct.unpack_from(order + "L", data, end)[0] if end + 4 <= len(data) else 0)


def _largest_jpeg(data: bytes) -> Preview | None:
    best: Preview | None = None
    at = n_tried = 0
    while (at := data.find(b"\xff\xd8\xff", at)) >= 0 and n_tried < _MOST_JPEGS:
        n_tried += 1
        found = _jpeg_at(data, at)
        if found is not None and (best is None or found.width * found.height > best.width * best.height):
            best = found
        at += len(found.data) if found is not None else 3
    return best


def _jpeg_at(data: bytes, start: int) -> Preview | None:
    """The JPEG that begins here, up to its end mark; None for none, and for the lossless kind that sensors write."""
    at, width, height = start + 2, 0, 0
    while at + 2 <= len(data) and data[at] == 0xFF:
        mark = data[at + 1]
        if mark == 0xD9:
            return Preview(data[start : at + 2], width, height) if width and height else None
        if mark == 0xFF:
            at += 1
            continue
        if mark in (0xC3, 0xC7, 0xCB, 0xCF) or mark < 0xC0:
            return None
        if 0xC0 <= mark <= 0xCE and mark not in (0xC4, 0xC8, 0xCC) and at + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, at + 5)
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
        if mark == 0xDA:
            found = _NEXT_MARK.search(data, at)
            if found is None:
                return None
            at = found.start()
    return None


_NEXT_MARK = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def _turned(preview: Preview, directories: list[_Directory]) -> Preview:
    """The preview with the photo's orientation where it has none of its own, as those of most cameras."""
    orientation = next((each.first(_ORIENTATION) for each in directories if _ORIENTATION in each.values), 1)
    if orientation not in range(2, 9) or b"Exif\0\0" in preview.data[:64]:
        return preview
    tags = struct.pack("<2sHLHHHLHHL", b"II", 42, 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tags
    head = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    return Preview(head + preview.data[2:], preview.width, preview.height)
