"""formats.raw_photo: a thumbnail is never taken for the photo, and a smaller copy never for a page."""

import io
import random
import struct
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image as Pillow

from engine.corpus.collect import collect
from engine.corpus.formats.reader import draw
from engine.corpus.source import Cause, Pixels, Skipped, Source

NEF, SENSOR, LINEAR = 34713, 32803, 34892
ASK = "a raw photo; export it as JPEG"


def jpeg(width: int, height: int, colour: str = "red") -> bytes:
    out = io.BytesIO()
    Pillow.new("RGB", (width, height), colour).save(out, "JPEG", quality=60)
    return out.getvalue()


@dataclass(frozen=True)
class Directory:
    """One image of a TIFF: tags with numbers, its bytes, and directories within it."""

    tags: dict[int, tuple[int, ...]]
    data: bytes = b""
    within: tuple["Directory", ...] = field(default=())


def tiff(*chain: Directory, order: str = "<", magic: bytes = b"*\0", mark: bytes = b"") -> bytes:
    out = bytearray((b"II" if order == "<" else b"MM") + (magic if order == "<" else magic[::-1]) + bytes(4) + mark)

    def put(directory: Directory) -> int:
        inner = tuple(put(each) for each in directory.within)
        data_at = len(out)
        out.extend(directory.data + b"\0" * (len(directory.data) % 2))
        tags = {tag: values for tag, values in directory.tags.items() if values != (-1,)}
        tags |= {tag: (data_at,) for tag, values in directory.tags.items() if values == (-1,)}
        tags |= {330: inner} if inner else {}
        places = {}
        for tag, values in tags.items():
            if len(values) > 1:
                places[tag] = len(out)
                out.extend(struct.pack(f"{order}{len(values)}L", *values))
        at = len(out)
        out.extend(struct.pack(order + "H", len(tags)))
        for tag, values in sorted(tags.items()):
            out.extend(struct.pack(order + "HHLL", tag, 4, len(values), places.get(tag, values[0])))
        out.extend(bytes(4))
        return at

    link = 4
    for directory in chain:
        at = put(directory)
        struct.pack_into(order + "L", out, link, at)
        link = len(out) - 4
    return bytes(out)


def pixel_tags(width: int, height: int) -> dict[int, tuple[int, ...]]:
    """Of one channel in eight bits, not packed. -1: where the directory's bytes lie."""
    return {256: (width,), 257: (height,), 258: (8,), 259: (1,), 273: (-1,), 277: (1,), 278: (height,),
            279: (width * height,)}  # fmt: skip


def plain(
    width: int, height: int, *, small: bool = False, value: int = 90, within: tuple[Directory, ...] = ()
) -> Directory:
    """Gray pixels, not packed, as a thumbnail is."""
    tags = pixel_tags(width, height) | {254: (int(small),), 262: (1,)}
    return Directory(tags, bytes([value]) * (width * height), within)


def sensor(width: int, height: int) -> Directory:
    return Directory(pixel_tags(width, height) | {254: (0,), 262: (SENSOR,)}, bytes(width * height))


def preview(width: int, height: int) -> Directory:
    data = jpeg(width, height)
    return Directory({254: (1,), 259: (6,), 513: (-1,), 514: (len(data),)}, data)


def read(folder: Path, name: str, data: bytes) -> Source | Skipped:
    (folder / name).write_bytes(data)
    corpus = collect([folder / name])
    (found,) = corpus.sources or corpus.skipped
    return found


def reason(found: Source | Skipped) -> str:
    assert isinstance(found, Skipped), found
    assert found.cause is Cause.BINARY
    return found.reason


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "name", ["photo.nef", "photo.dng", "photo.arw", "photo.pef", "photo.tif", "PHOTO.NEF", "photo"]
)
def test_a_thumbnail_is_never_the_photo(tmp_path: Path, name: str, order: str) -> None:
    data = tiff(plain(160, 120, small=True, within=(sensor(1600, 1200),)), order=order)
    assert reason(read(tmp_path, name, data)) == ASK


def test_raw_photos_are_known_by_what_is_in_them_and_by_their_ending(tmp_path: Path) -> None:
    thumbnail = plain(160, 120, small=True)
    dng = Directory({**thumbnail.tags, 50706: (0x00000401,)}, thumbnail.data)
    packed = Directory({254: (0,), 256: (6000,), 257: (4000,), 259: (NEF,), 262: (1,)})
    linear = Directory({254: (0,), 256: (6000,), 257: (4000,), 259: (1,), 262: (LINEAR,)})
    for at, data in enumerate((tiff(dng), tiff(thumbnail, packed), tiff(thumbnail, linear), tiff(sensor(64, 48)))):
        assert reason(read(tmp_path, f"{at}.tif", data)) == ASK
    for ending in ("nef", "srw", "3fr", "iiq", "erf"):
        assert reason(read(tmp_path, f"a.{ending}", tiff(plain(160, 120)))) == ASK
    assert reason(read(tmp_path, "a.tif", tiff(plain(160, 120), mark=b"CR\2\0"))) == ASK


@pytest.mark.parametrize(
    "head",
    [
        b"IIRO\x08\0\0\0", b"IIRS\x08\0\0\0", b"MMOR\0\0\0\x08", b"IIU\0\x18\0\0\0", b"FUJIFILMCCD-RAW 0201FF393101",
        b"FOVb\0\0\2\0", b"\0MRM\0\0\1\0", b"II\x1a\0\0\0HEAPCCDR\2\0", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    ],
)  # fmt: skip
def test_raw_photos_that_are_no_tiff(tmp_path: Path, head: bytes) -> None:
    assert reason(read(tmp_path, "photo", head + bytes(400))) == ASK
    found = reason(read(tmp_path, "photo.raw", head + bytes(400) + jpeg(160, 120)))
    assert found == "a raw photo, in which the largest picture has 160 x 120 pixels; export it as JPEG"


def test_a_preview_that_is_smaller_is_not_the_photo_either(tmp_path: Path) -> None:
    data = tiff(plain(160, 120, small=True, within=(preview(1616, 1080), sensor(3000, 2000))))
    assert reason(read(tmp_path, "a.arw", data)) == (
        "a raw photo, in which the largest picture has 1,616 x 1,080 pixels; export it as JPEG"
    )


def test_a_picture_of_the_full_size_stands_for_the_photo(tmp_path: Path) -> None:
    for at, (width, height) in enumerate(((600, 400), (592, 394))):
        data = tiff(plain(160, 120, small=True, within=(preview(width, height), sensor(600, 400))))
        found = read(tmp_path, f"{at}.nef", data)
        assert isinstance(found, Source) and [(each.width, each.height) for each in found.pictures] == [(width, height)]
        assert found.notes == (
            f"A raw photo: what is shown is the JPEG of {width} x {height} pixels in it, as the camera developed it.",
        )
        assert found.n_bytes == len(data) and found.kept_file is not None and found.kept_file.format == "JPEG"
        drawn = draw("x", found.kept_file, number=1, width=width, height=height)
        assert isinstance(drawn, Pixels) and drawn.data[0] > 240 > 20 > drawn.data[1]


def test_it_is_turned_as_the_photo_is(tmp_path: Path) -> None:
    first = plain(160, 120, small=True, within=(preview(600, 400), sensor(600, 400)))
    data = tiff(Directory({**first.tags, 274: (6,)}, first.data, first.within))
    found = read(tmp_path, "a.nef", data)
    assert isinstance(found, Source) and [(each.width, each.height) for each in found.pictures] == [(400, 600)]


def test_the_exif_data_says_how_large_the_photo_is_where_the_sensors_size_is_not_told(tmp_path: Path) -> None:
    exif = Directory({0xA002: (600,), 0xA003: (400,)})
    raw = Directory({254: (0,), 259: (6,), 262: (SENSOR,)})
    for size, is_whole in (((600, 400), True), ((300, 200), False)):
        first = preview(*size)
        found = read(tmp_path, "a.cr2", tiff(first, Directory({254: (1,)}, b"", (exif,)), raw))
        assert isinstance(found, Source) is is_whole


@pytest.mark.parametrize(("size", "is_whole"), [((600, 400), True), ((160, 120), False)])
def test_the_boxes_of_a_cr3_say_how_large_the_photo_is(tmp_path: Path, size: tuple[int, int], is_whole: bool) -> None:
    tags = tiff(Directory({256: (600,), 257: (400,), 274: (8,)}))
    head = b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(40) + struct.pack(">L", len(tags) + 8) + b"CMT1" + tags
    found = read(tmp_path, "a.cr3", head + bytes(99) + jpeg(160, 120) + jpeg(*size) + bytes(999))
    assert isinstance(found, Source) is is_whole
    if isinstance(found, Source):
        assert [(each.width, each.height) for each in found.pictures] == [(400, 600)], "turned as the photo is"


def test_a_preview_that_is_cut_short_is_none(tmp_path: Path) -> None:
    assert reason(read(tmp_path, "a.orf", b"IIRO\x08\0\0\0" + bytes(9) + jpeg(600, 400)[:-100])) == ASK


def test_a_plain_tiff_shows_its_pages_and_not_their_smaller_copies(tmp_path: Path) -> None:
    found = read(tmp_path, "a.tif", tiff(plain(40, 30, small=True), plain(400, 300), plain(200, 150, small=True)))
    assert isinstance(found, Source) and [(each.width, each.height) for each in found.pictures] == [(400, 300)]
    assert found.notes == ("2 smaller copies of pictures in it were left out.",)
    found = read(tmp_path, "b.tif", tiff(plain(40, 30), plain(41, 31), plain(20, 15, small=True)))
    assert isinstance(found, Source) and [each.width for each in found.pictures] == [40, 41]
    assert found.notes == ("A smaller copy of a picture in it was left out.",)


def test_a_plain_tiff_whose_picture_lies_behind_its_thumbnail(tmp_path: Path) -> None:
    for order in ("<", ">"):
        data = tiff(plain(40, 30, small=True, within=(plain(400, 300, value=200),)), order=order)
        found = read(tmp_path, "a.tif", data)
        assert isinstance(found, Source) and [(each.width, each.height) for each in found.pictures] == [(400, 300)]
        assert found.notes == ("A smaller copy of a picture in it was left out.",)
        drawn = draw("x", found.kept_file, number=1, width=400, height=300) if found.kept_file else None
        assert isinstance(drawn, Pixels) and set(drawn.data) == {200}


def test_pages_that_are_all_marked_as_copies_are_shown(tmp_path: Path) -> None:
    found = read(tmp_path, "a.tif", tiff(plain(40, 30, small=True), plain(41, 30, small=True)))
    assert isinstance(found, Source) and len(found.pictures) == 2 and not found.notes


def test_mutated_photos_never_raise(tmp_path: Path) -> None:
    data = tiff(
        plain(20, 15, small=True, within=(preview(60, 40), sensor(60, 40))), plain(40, 30), plain(4, 3, small=True)
    )
    chance = random.Random(5)
    for at in range(300):
        mutated = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            mutated[chance.randrange(len(mutated))] = chance.choice((0, 1, 0xFF, chance.randrange(256)))
        read(tmp_path, ("a.tif", "a.nef")[at % 2], bytes(mutated[: len(mutated) - chance.choice((0, 0, 40))]))
