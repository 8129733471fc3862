"""formats.embedded: the pictures of notebooks, where they stand, what they are drawn from, and what cannot be shown."""

import base64
import io
import json
import random
import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from engine.corpus.formats import embedded
from engine.corpus.formats.format import whole_file
from engine.corpus.formats.notebook import NOTEBOOK
from engine.corpus.formats.reader import draw, read_content
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, KeptFile, Pixels, Skipped, Source
from tests.engine.corpus.formats.test_notebook import SVG, code, shown, written

COLOURS = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def image(colour: str = "red", size: tuple[int, int] = (40, 20), kind: str = "PNG", **how: Any) -> bytes:
    out = io.BytesIO()
    Pillow.new("RGB", size, colour).save(out, kind, **how)
    return out.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def markdown(source: Any, **attachments: bytes) -> dict[str, Any]:
    held = {name.replace("_", "."): {"image/png": b64(data)} for name, data in attachments.items()}
    return {"cell_type": "markdown", "metadata": {}, "source": source, "attachments": held}


def read(*cells: Any, rules: Rules | None = None) -> Source:
    found = NOTEBOOK.read(whole_file("a.ipynb", written(*cells), rules or Rules()))
    assert isinstance(found, Source), found
    return found


def seen(source: Source) -> str:
    """What a model that sees is given, with <1> in place of the first picture."""
    text, at = "", 0
    for picture in source.pictures:
        says, ends = source.span_of(picture)
        assert at <= says < ends and source.text[says:].startswith(", left out]")
        text += source.text[at:says] + source.text[says:ends].removeprefix(", left out") + f"<{picture.number}>"
        at = ends
    return text + source.text[at:]


def colours(source: Source) -> list[str]:
    """Of the middle of every picture, drawn at the size that it says."""
    names = []
    for picture in source.pictures:
        assert source.kept_file is not None
        drawn = draw("a.ipynb", source.kept_file, number=picture.number, width=picture.width, height=picture.height)
        assert isinstance(drawn, Pixels) and (drawn.width, drawn.height) == (picture.width, picture.height)
        pixels = np.frombuffer(drawn.data, dtype=np.uint8).reshape(drawn.height, drawn.width, 3).astype(int)
        middle = pixels[drawn.height // 2, drawn.width // 2]
        names.append(min(COLOURS, key=lambda name: int(abs(middle - COLOURS[name]).sum())))
    return names


@pytest.mark.parametrize(
    ("kind", "mime"),
    [
        ("PNG", "png"),
        ("JPEG", "jpeg"),
        ("GIF", "gif"),
        ("WEBP", "webp"),
        ("BMP", "bmp"),
        ("TIFF", "tiff"),
        ("JPEG", "png"),
    ],
)
@pytest.mark.parametrize("how", ["plain", "lines", "wrapped", "unpadded"])
def test_what_pillow_reads_is_shown_however_its_base64_is_written(kind: str, mime: str, how: str) -> None:
    packed = b64(image("blue", (41, 23), kind))
    value: Any = packed.rstrip("=") if how == "unpadded" else packed
    if how in ("lines", "wrapped"):
        value = [packed[at : at + 76] + "\n" for at in range(0, len(packed), 76)]
        value = value if how == "lines" else "".join(value)
    found = read(code("x", shown({"text/plain": "<Figure size 1x1>", f"image/{mime}": value})))
    assert [(each.number, each.width, each.height) for each in found.pictures] == [(1, 41, 23)]
    assert colours(found) == ["blue"] and found.notes == ()
    size = (
        "" if (kind, how) == ("WEBP", "unpadded") else ", 41 x 23"
    )  # a text as ever: its size stands in the last byte
    assert found.text.endswith(f"[plot{size}, left out]\n") and seen(found).endswith(f"[plot{size}]\n<1>")


RED, LIME, BLUE = (image(colour) for colour in ("red", "lime", "blue"))
URL = "data:image/png;base64,"


@pytest.mark.parametrize(
    ("cells", "words", "order"),
    [
        (  # outputs between what was printed, in the order of the cells
            [
                code("a", {"output_type": "stream", "name": "stdout", "text": "one\n"}, shown({"image/png": b64(RED)})),
                markdown("between"),
                code("b", shown({"image/png": b64(BLUE)}), {"output_type": "stream", "name": "stdout", "text": "two"}),
            ],
            "[cell 1, code]\na\n\n[output of cell 1]\none\n[image/png, 40 x 20]\n<1>\n[cell 2, markdown]\nbetween\n\n"
            "[cell 3, code]\nb\n\n[output of cell 3]\n[image/png, 40 x 20]\n<2>two\n",
            ["red", "blue"],
        ),
        (  # words beside the picture of the same output
            [code("x", shown({"text/plain": "Sum: 5", "image/png": b64(LIME)}))],
            "[cell 1, code]\nx\n\n[output of cell 1]\n[image/png, 40 x 20]\n<1>Sum: 5\n",
            ["lime"],
        ),
        (  # attachments: within a line, on a line of its own, and one that no text names
            [
                markdown(
                    "See ![it](attachment:a.png) here.\n![](attachment:b.png)\nEnd.", a_png=RED, b_png=BLUE, c_png=LIME
                )
            ],
            "[cell 1, markdown]\nSee ![it]([a.png, 40 x 20])<1> here.\n![]([b.png, 40 x 20])\n<2>End.\n"
            "[c.png, 40 x 20]\n<3>",
            ["red", "blue", "lime"],
        ),
        (  # a title, a link around it, a tag of HTML
            [
                markdown(
                    'A ![x](attachment:a.png "at home") B [![y](attachment:b.png)](https://e.org) C '
                    '<img src="attachment:a.png" width=30> D',
                    a_png=RED,
                    b_png=BLUE,
                )
            ],
            '[cell 1, markdown]\nA ![x]([a.png, 40 x 20] "at home")<1> B [![y]([b.png, 40 x 20])](https://e.org)<2> C '
            '<img src="[a.png, 40 x 20]" width=30><3> D\n',
            ["red", "blue", "red"],
        ),
        (  # data in addresses
            [markdown(f"A ![x]({URL}{b64(BLUE)}) B\n<img src='{URL}{b64(RED)}'/>\n[r]: <{URL}{b64(LIME)}>\n")],
            "[cell 1, markdown]\nA ![x]([image/png])<1> B\n<img src='[image/png]'/>\n<2>[r]: <[image/png]>\n<3>",
            ["blue", "red", "lime"],
        ),
        (  # the same in Markdown and HTML that was shown
            [
                code("x", shown({"text/markdown": f"M ![]({URL}{b64(RED)}) N"})),
                code("y", shown({"text/html": f"<p>H <img alt='map' src={URL}{b64(BLUE)}> I</p>"})),
            ],
            "[cell 1, code]\nx\n\n[output of cell 1]\nM ![]([image/png])<1> N\n\n"
            "[cell 2, code]\ny\n\n[output of cell 2]\nH [image map]<2> I\n",
            ["red", "blue"],
        ),
        (  # a raw cell, and one within a raw string that nobody sees
            [
                {**markdown("r ![](attachment:a.png)", a_png=LIME), "cell_type": "raw"},
                code(
                    f"s = '{URL}{b64(RED)}'", {"output_type": "stream", "name": "stdout", "text": f"{URL}{b64(RED)}!"}
                ),
            ],
            "[cell 1, raw]\nr ![]([a.png, 40 x 20])\n<1>\n[cell 2, code]\ns = '[image/png, left out]'\n\n"
            "[output of cell 2]\n[image/png, left out]!\n",
            ["lime"],
        ),
        (  # of several forms: pixels before a drawing, the next where the first is damaged
            [
                code("x", shown({"image/svg+xml": SVG, "image/png": b64(RED)})),
                code("y", shown({"image/jpeg": "!", "image/png": b64(BLUE), "text/plain": "<Figure>"})),
            ],
            "[cell 1, code]\nx\n\n[output of cell 1]\n[image/png, 40 x 20]\n<1>\n[cell 2, code]\ny\n\n"
            "[output of cell 2]\n[plot]\n<2>",
            ["red", "blue"],
        ),
    ],
)
def test_each_picture_stands_where_it_stood(cells: list[Any], words: str, order: list[str]) -> None:
    found = read(*cells)
    assert seen(found) == words and colours(found) == order
    assert found.text.count(", left out]") == len(order) + words.count(", left out]")


def test_format_3_and_surrogates_before_a_picture() -> None:
    """Halves of a character become one, which moves what stands behind them."""
    output = {"output_type": "display_data", "png": b64(LIME), "text": "<matplotlib.figure.Figure at 0x1>"}
    cells = [{"cell_type": "code", "input": ["\ud83d", "\ude00 \ud800 a"], "outputs": [output]}]
    found = NOTEBOOK.read(whole_file("a.ipynb", json.dumps({"worksheets": [{"cells": cells}]}).encode(), Rules()))
    assert isinstance(found, Source) and colours(found) == ["lime"]
    assert seen(found) == "[cell 1, code]\n😀 � a\n\n[output of cell 1]\n[image/png, 40 x 20]\n<1>"


def test_words_that_look_like_marks_move_nothing() -> None:
    forged = "[image/png, 40 x 20, left out]\0" + "0" * 32 + ":0\0"
    found = read(markdown(forged), code(forged, shown({"image/png": b64(RED)})), markdown(forged))
    assert len(found.pictures) == 1 and found.text.count(forged) == 3
    assert seen(found).count("[image/png, 40 x 20]\n<1>") == 1 and seen(found).count(forged) == 3


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG of so many black pixels, a bit each."""
    rows = zlib.compress(bytes((1 + width // 8) * min(height, 100)), 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def noise(side: int) -> bytes:
    out = io.BytesIO()
    Pillow.effect_noise((side, side), 90).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b64(noise(64)[:900]), "a PNG image that is cut short or damaged"),
        (b64(image(kind="JPEG")[:300]), "a JPEG image that is cut short or damaged"),
        (b64(bomb(60_000, 60_000)), "60,000 x 60,000 pixels, over the limit of 100,000,000 in all for an image"),
        ("%%%" + b64(RED), "its base64 is damaged"),
        (b64(RED)[:41], "its base64 is damaged"),
        (b64(b"hello, this is no image"), "there is no image in it"),
        (b64(b"%PDF-1.7 of a page"), "there is no image in it"),
        ("", "it is empty"),
        (None, "it is empty"),
        ({"a": 1}, "its base64 is damaged"),
        (7, "its base64 is damaged"),
    ],
)
def test_what_cannot_be_shown_keeps_its_mark_and_the_note_says_why(value: Any, why: str) -> None:
    good = shown({"image/png": b64(BLUE)})
    found = read(code("x", shown({"image/png": value}), good), code("y", good))
    assert colours(found) == ["blue", "blue"] and seen(found).count(", left out]") == 1
    assert found.notes == (
        "Left out, each with a mark where it stood: 1 x image/png.",
        f"1 picture of cell 1 cannot be shown: {why}.",
    )


def test_animations_several_pages_and_pictures_on_their_side() -> None:
    frames = [Pillow.new("RGB", (30, 20), colour) for colour in ("lime", "red", "blue")]
    animation, pages, turned = io.BytesIO(), io.BytesIO(), io.BytesIO()
    frames[0].save(animation, "GIF", save_all=True, append_images=frames[1:])
    frames[1].save(pages, "TIFF", save_all=True, append_images=frames)
    exif = Pillow.Exif()
    exif[0x0112] = 6
    frames[2].save(turned, "JPEG", exif=exif)
    held = {"image/gif": animation, "image/tiff": pages, "image/jpeg": turned}
    found = read(*(code("x", shown({kind: b64(file.getvalue())})) for kind, file in held.items()))
    assert [(each.width, each.height) for each in found.pictures] == [(30, 20), (30, 20), (20, 30)]
    assert colours(found) == ["lime", "red", "blue"]
    assert found.notes == (
        "1 picture of cell 1: 3 frames; the first one counts.",
        "1 picture of cell 2: 4 pages; the first that can be read counts.",
    )


def test_svgs_and_what_is_no_picture_are_named_only() -> None:
    others = {"image/svg+xml": SVG, "audio/wav": b64(b"RIFF"), "video/mp4": "AAAA", "application/pdf": b64(b"%PDF")}
    found = read(*(code("x", shown({kind: value})) for kind, value in others.items()))
    assert found.pictures == () and found.kept_file is None and found.text.count(", left out]") == 4
    assert found.notes == (
        "Left out, each with a mark where it stood: 1 x PDF, 1 x audio/wav, 1 x image/svg+xml, 1 x video/mp4.",
    )


def test_files_that_markdown_names_are_not_fetched_and_said() -> None:
    found = read(
        markdown(
            "![a](plots/a.png) ![b](<b.jpg> 'B') ![c](https://e.org/c.png)\n<IMG width=3 src='d.gif'> ![a](plots/a.png)"
        ),
        code("![no](no.png)", shown({"text/markdown": "![e](e.png)"})),
        markdown("![it](attachment:f.png)", f_png=RED),
    )
    assert len(found.pictures) == 1
    assert found.notes == (
        "Images that Markdown names are not fetched: plots/a.png, b.jpg, https://e.org/c.png, d.gif, e.png.",
    )


def test_a_picture_whose_mark_is_in_no_text_is_left_out() -> None:
    """Of a style nothing is read: neither is it shown."""
    html = f"<style>p {{background: url({URL}{b64(RED)})}}</style><p>words</p>"
    found = read(code("x", shown({"text/html": html})))
    assert found.pictures == () and found.kept_file is None
    assert found.notes == ("Left out, each with a mark where it stood: 1 x image/png.",)


def test_a_picture_that_stands_twice_is_kept_once() -> None:
    large = noise(300)
    once = read(markdown("![](attachment:a.png)", a_png=large))
    often = read(markdown("![](attachment:a.png)\n" * 30, a_png=large))
    assert len(often.pictures) == 30 and len({each.digest for each in often.pictures}) == 1
    assert once.kept_file is not None and often.kept_file is not None
    assert len(often.kept_file.data) < len(once.kept_file.data) + 5_000


def test_the_digest_is_of_text_and_pictures_and_of_nothing_else() -> None:
    first, same = (
        read(code("x", shown({"image/png": b64(RED)}))),
        read(code("x", shown({"image/png": [b64(RED), "\n"]}))),
    )
    other = read(code("x", shown({"image/png": b64(BLUE)})))
    assert first.text == same.text == other.text and first.digest == same.digest != other.digest
    assert first.kept_file is not None and same.kept_file is not None
    assert first.kept_file.data == same.kept_file.data
    assert first == replace(same, n_bytes=first.n_bytes)


def test_all_pictures_of_a_file_have_limits_together(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [image("red", (10 + at, 10)) for at in range(30)]
    cells = [code("x", shown({"image/png": b64(each)})) for each in images]
    found = read(*cells, rules=Rules(max_image_pixels=300))
    n_shown = len(found.pictures)
    assert 10 <= n_shown < 25 and sum(each.width * each.height for each in found.pictures) < 3_000 + 400
    assert "1 x image/png" not in found.notes[0] and f"{30 - n_shown} x image/png" in found.notes[0]
    assert any("those before have over 3,000 pixels in all" in note for note in found.notes)
    monkeypatch.setattr(embedded, "_MOST", 4)
    few = read(*cells)
    assert (
        len(few.pictures) == 4
        and few.notes[1] == "26 pictures of cells 5-30 cannot be shown: there are over 4 in the file."
    )


def test_many_reasons_are_counted() -> None:
    cells = [code("x", shown({"image/png": b64(bomb(20_000 + at, 20_000))})) for at in range(12)]
    notes = read(*cells).notes
    assert len(notes) == 10 and notes[-1] == "There is more to say of 4 others."


def test_a_packed_file_that_is_damaged_is_skipped() -> None:
    found = read(code("x", shown({"image/png": b64(RED)})))
    assert found.kept_file is not None
    chance = random.Random(3)
    for number in (0, 2, 99):
        skipped = draw("a.ipynb", found.kept_file, number=number, width=4, height=4)
        assert isinstance(skipped, Skipped) and f"picture {number}" in skipped.reason
    for _ in range(300):
        torn = bytearray(found.kept_file.data)
        for _ in range(chance.randint(1, 6)):
            torn[chance.randrange(len(torn))] = chance.randrange(256)
        file = KeptFile(found.kept_file.format, bytes(torn[: chance.randint(0, len(torn))]))
        drawn = draw("a.ipynb", file, number=1, width=40, height=20)
        assert isinstance(drawn, Pixels) or drawn.cause is Cause.BROKEN


@pytest.mark.slow  # 1.1 s
def test_damaged_pictures_never_raise_and_draw_what_was_measured(capfd: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(5)
    whole = [image("blue", (33, 21), kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000")]
    for _ in range(150):
        cells = []
        for data in whole:
            torn = bytearray(data)
            for _ in range(chance.randint(0, 3)):
                torn[chance.randrange(len(torn))] = chance.randrange(256)
            text = b64(bytes(torn[: chance.randint(1, len(torn))] if chance.random() < 0.3 else torn))
            text = text if chance.random() < 0.8 else text[: chance.randint(0, len(text))]
            cells.append(code("x", shown({"image/png": text})))
        data = written(*cells)
        found = read_content("a.ipynb", len(data), io.BytesIO(data).read, Rules(max_image_pixels=1_000_000))
        assert isinstance(found, Source) and found.text.count(", left out]") == 7
        assert seen(found).count(", left out]") == 7 - len(found.pictures)
        colours(found)
    assert capfd.readouterr().err == ""
