"""What it takes of memory to draw a picture: bytes for each of its pixels, by the format of its file.

For a plan, which knows a picture's size and its file's format and nothing of what lies in there. So the most that any
kind of pixel takes in a format is told: gray and palettes take half of it. Measured as the most that a process grew by
(tests/engine/corpus/formats/test_drawing.py measures it again), with Pillow 13.0, PDFium and 6 million pixels.
"""

from math import ceil

from engine.corpus.source import Picture

# From the first byte that is decoded to eight bits of RGB. Pillow holds four bytes a pixel, one for gray.
_DECODED = {
    "PNG": 9,  # RGBA, gray with alpha, or turned: 8.3
    "JPEG": 13,  # CMYK, progressive: 12.0, two bytes of it for each coefficient; RGB 5.8, turned 8.1, progressive 10.0
    "TIFF": 13,  # 16 bits of CMYK or RGBA in one strip: 12.1; floats 9.1
    "GIF": 7,  # 5.8
    "WEBP": 22,  # with alpha and no loss: 20.2; RGB 16.1: the decoder holds two pictures to lay frames over each other
    "AVIF": 14,  # with alpha: 12.1
    "JPEG2000": 29,  # RGBA: 24.6, four bytes for each channel at once; with 16 bits four more
    "BMP": 7,  # 5.9
    "PPM": 15,  # gray of 16 bits as text: 13.9
    "ICO": 15,  # a bitmap with its mask: 13.2
    "TGA": 9,
}
_MOST = max(_DECODED.values())  # what a notebook has may be any of these
_READY = 4  # RGB, as Pillow holds it
_PACKED = 4  # three bytes in a row, while they become so many
_SENT = 9  # the same three times: sent, received, and as llama.cpp takes them
_PDF = "PDF"
_PAGE_SCALE = (3508 / 1008) ** 2  # pixels of a scan at 300 dots an inch for each of a page's as it is drawn
_PAGE_SCANNED = 18  # for each of those: packed without loss, or as JPEG 2000, 11 to 18; JPEG 4 to 7
_HELD = 3  # a file on its way: with the engine, handed over, and with its reader
_FLAT = 8 << 20
_READER_BYTES = 40 << 20  # a process that draws: 15 MiB of its own with Pillow, 30 with numpy, PDFium and fonts besides


def drawing_bytes(picture: Picture, file_format: str, n_file_bytes: int, *, width: int, height: int) -> int:
    """The most that is taken while a picture of a file in this format is drawn at width x height pixels, until the
    engine has it [estimate, rather too much]."""
    n_pixels, n_drawn = picture.width * picture.height, width * height
    if file_format == _PDF:
        most = ceil(_PAGE_SCANNED * _PAGE_SCALE * n_pixels) + (_READY + _PACKED) * n_drawn
    else:
        is_scaled = (width, height) != (picture.width, picture.height)
        scaled = _READY * (n_pixels + width * picture.height + n_drawn) if is_scaled else 0
        decoded = _DECODED.get(file_format, _MOST) * n_pixels
        most = max(decoded, scaled, (_READY + _PACKED) * n_drawn)
    return most + _SENT * n_drawn + _HELD * n_file_bytes + _FLAT + _READER_BYTES
