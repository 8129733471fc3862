"""Images: the upright size, and whether the pixels are all there. What an image costs is left to engine.tokens."""

from io import BytesIO

from PIL import Image as Pillow

from engine.corpus.pixels import upright_size
from engine.corpus.quiet import quietly
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Image, Kind, Skipped, Source, digest_bytes


def read_image(path: str, data: bytes, format_name: str, rules: Rules) -> Source | Skipped:
    """The image as a source, or why not: BROKEN where it cannot be decoded to the end, TOO_LARGE by its pixels.

    format_name: as `sniff` tells it by the first bytes.
    """
    with quietly():
        try:
            # Pillow's own open() complains of large images by a global setting; here the size is looked at first
            Pillow.preinit()  # the common formats alone: init() imports all of Pillow's, for 70 ms
            if format_name not in Pillow.OPEN:
                Pillow.init()
            picture = Pillow.OPEN[format_name][0](BytesIO(data), path)
            n_pixels = picture.width * picture.height
            if n_pixels > rules.max_image_pixels:
                return _too_large(path, picture, len(data), rules)
            width, height = upright_size(picture)
            n_frames = getattr(picture, "n_frames", 1)
            picture.load()
        except KeyError:
            return Skipped(path, Cause.BINARY, f"an image in {format_name}, which cannot be read here", len(data))
        except Exception as error:  # plugins raise anything on a broken file, SyntaxError and struct.error too
            reason = f"a {format_name} image that is cut short or damaged ({error})"
            return Skipped(path, Cause.BROKEN, reason, len(data))
    notes = (f"{n_frames:,} frames; the first one counts.",) if n_frames > 1 else ()
    image = Image(width, height, format_name, data)
    return Source(path, Kind.IMAGE, "", len(data), digest_bytes(data), image=image, notes=notes)


def _too_large(path: str, picture: Pillow.Image, n_bytes: int, rules: Rules) -> Skipped:
    size = f"{picture.width:,} x {picture.height:,} pixels"
    reason = f"{size}, over the limit of {rules.max_image_pixels:,} in all for an image"
    return Skipped(path, Cause.TOO_LARGE, reason, n_bytes)
