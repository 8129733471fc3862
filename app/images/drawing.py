"""Pictures as the page shows them: small beside a name, larger in the viewer. As JPEG, upright, drawn in this process.

What the engine is sent is drawn by the engine's child; size and frame are the same ones.
"""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO

from PIL import Image as Pillow

from engine.corpus.formats import reader
from engine.corpus.source import Cause, KeptFile, Picture, Pixels, Skipped, Source

_QUALITY = 82


@dataclass(frozen=True, slots=True)
class Drawing:
    """A JPEG and its size in pixels."""

    width: int
    height: int
    jpeg: bytes

    @property
    def address(self) -> str:
        """A URL that holds all of it."""
        return f"data:image/jpeg;base64,{b64encode(self.jpeg).decode()}"


def draw(source: Source, number: int, longest: int) -> Drawing | Skipped:
    """A picture of a source, by the number of its page or frame, its longer side at most so many pixels."""
    picture = next((each for each in source.pictures if each.number == number), None)
    if picture is None or source.kept_file is None:
        return Skipped(source.path, Cause.BROKEN, f"it has no page {number}")
    pixels = _pixels(source.path, source.kept_file, picture, longest)
    if isinstance(pixels, Skipped):
        return pixels
    file = BytesIO()
    Pillow.frombytes("RGB", (pixels.width, pixels.height), pixels.data).save(file, "JPEG", quality=_QUALITY)
    return Drawing(pixels.width, pixels.height, file.getvalue())


def _pixels(path: str, file: KeptFile, picture: Picture, longest: int) -> Pixels | Skipped:
    scale = longest / max(picture.width, picture.height)
    scale = scale if file.scalable else min(1.0, scale)  # no image is made larger than it is
    width, height = (max(1, round(side * scale)) for side in (picture.width, picture.height))
    return reader.draw(path, file, number=picture.number, width=width, height=height, quick=True)
