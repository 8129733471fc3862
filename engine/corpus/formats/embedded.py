"""Pictures that lie within another file, such as a notebook: looked at as image files are, placed in its text, and
packed to be drawn from.

While the file becomes text, a sign that cannot stand in it follows each picture's mark ("[plot, 640 x 480, left out]").
`placed` takes the signs away and says where they were, so that whatever is done to the text in between moves the
pictures with it. What the marks say is left to the format of the file.
"""

import base64
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from zipfile import ZipFile, ZipInfo

from engine.corpus.formats.format import quietly, whole_file
from engine.corpus.formats.image import IMAGE
from engine.corpus.rules import NO_PAGES, Rules
from engine.corpus.source import LEFT_OUT, Cause, KeptFile, Picture, Pixels, Skipped, Source, digest_bytes, digest_text
from engine.corpus.wording import counted, ranges_in_words

SVG = "image/svg+xml"
PACKED = "pictures"  # what a kept file of them goes by: a ZIP, with the members' names by number in _ORDER
_ORDER = "order"
_MOST = 10_000  # pictures of one file
_MOST_PIXELS = 10  # of all pictures of one file: times what one image may have
_MOST_REASONS = 8  # that notes tell apart
_PADDED = re.compile(r"([A-Za-z0-9+/]*)(?:=[A-Za-z0-9+/=]*)?")
_LINK_END = re.compile(  # of Markdown, behind the address
    r">?(?:[ \t]+(?:\"[^\"\n\0]{0,500}\"|'[^'\n\0]{0,500}'))?[ \t]*\)(?:\]\([^()\n\0]{0,1000}\))?|>"
)
_SVG_SIDE = r"<svg[^>]{0,500}?\sSIDE=[\"']([\d.]+)"
_HEAD_CHARACTERS = 64 * 1024  # of a picture in base64: its size stands in there
_TAG_END = re.compile(r"[^<>\n\0]{0,1000}>")


def stated_size(kind: str, text: str) -> str:
    """ ", 640 x 480" of a picture in base64 or an SVG, in pixels, as it says itself; "" where that cannot be told."""
    if kind == SVG:
        sides = [re.search(_SVG_SIDE.replace("SIDE", side), text[:_HEAD_CHARACTERS]) for side in ("width", "height")]
        return ", " + " x ".join(f"{float(side[1]):.0f}" for side in sides if side) if all(sides) else ""
    if not kind.startswith("image/"):
        return ""
    from PIL import Image as Pillow  # and pixels below: a folder without notebooks and images does without

    head = "".join(text[:_HEAD_CHARACTERS].split())
    try:
        data = base64.b64decode(head[: len(head) // 4 * 4])
        with quietly(), Pillow.open(BytesIO(data)) as picture:
            return f", {picture.width} x {picture.height}"
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError):
        return ""


def _decoded(base64_text: str) -> bytes | None:
    """The bytes, as browsers take them: spaces do not count and padding may lack; None where that is damaged."""
    found = _PADDED.fullmatch("".join(base64_text.split()))
    if found is None:
        return None
    try:
        return base64.b64decode(found[1] + "=" * (-len(found[1]) % 4))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Marked:
    """A picture that can be shown: the length of its mark, and what it is counted as should that be lost."""

    image: Source
    mark: int
    kind: str


class Embedded:
    """The pictures of one file. sign: what a sign looks like."""

    def __init__(self, text: str, rules: Rules) -> None:
        """text: of the file; it cannot hold its own digest, which the signs are made of. rules: the limits of one
        image."""
        self._begin, self._rules = f"\0{digest_text(text)}:", rules
        self.sign = re.compile(re.escape(self._begin) + r"(\d+)\0")
        self._marked: list[_Marked] = []
        self._by_text: dict[str, Source | str] = {}  # an image, or why it is none
        self._by_content: dict[str, Source | str] = {}
        self._said: dict[str, list[int]] = {}  # what is to be said, and of which cells
        self._n_pixels = 0

    def add(self, forms: Iterable[str], *, mark: int, kind: str, cell: int) -> str:
        """The sign of a picture that is held in several forms, each as base64: of the first that can be shown. "" where
        none can, with a note of the first one's reason. mark, kind: see _Marked. cell: where it lies, from 1."""
        why = ""
        for text in forms:
            found = self._looked_at(text)
            if isinstance(found, Source):
                for note in found.notes:
                    self._say(f": {note}", cell)
                self._marked.append(_Marked(found, mark, kind))
                return f"{self._begin}{len(self._marked) - 1}\0"
            why = why or found
        if why:
            self._say(f" cannot be shown: {why}.", cell)
        return ""

    def _say(self, sentence: str, cell: int) -> None:
        self._said.setdefault(sentence, []).append(cell)

    def _looked_at(self, text: str) -> Source | str:
        if len(self._marked) >= _MOST:
            return f"there are over {_MOST:,} in the file"
        if text not in self._by_text:
            data = _decoded(text)
            self._by_text[text] = "its base64 is damaged" if data is None else self._read_once(data)
        return self._by_text[text]

    def _read_once(self, data: bytes) -> Source | str:
        digest = digest_bytes(data)
        if digest not in self._by_content:
            limit = _MOST_PIXELS * self._rules.max_image_pixels
            if self._n_pixels > limit:
                return f"those before have over {limit:,} pixels in all"
            self._by_content[digest] = self._read(data)
        return self._by_content[digest]

    def _read(self, data: bytes) -> Source | str:
        """As an image file; of several pages the first. What is broken was decoded as well, and its pixels count."""
        file = whole_file("picture", data, replace(self._rules, draw_pages=NO_PAGES))
        name = IMAGE.recognise(file.head)
        if name is None:
            return file.head.other or ("there is no image in it" if data else "it is empty")
        n_pixels = _n_pixels(data, name)
        self._n_pixels += n_pixels if n_pixels <= self._rules.max_image_pixels else 0
        read = IMAGE.read(replace(file, file_format=name))
        if isinstance(read, Skipped):
            return read.reason.partition(";")[0]
        n_pages = read.n_pages or 1
        more = (f"{n_pages:,} pages; the first that can be read counts.",) if n_pages > 1 else ()
        return replace(read, notes=(*read.notes, *more))

    def placed(self, text: str) -> tuple[str, tuple[Picture, ...], KeptFile | None, Counter[str]]:
        """The text without signs, the pictures where they were, what these are drawn from, and the kinds of those whose
        mark is not in the text."""
        texts, numbers = self.sign.split(text)[::2], [int(number) for number in self.sign.findall(text)]
        pictures: list[Picture] = []
        offset = 0
        for at, number in enumerate(numbers):
            marked, before = self._marked[number], texts[at]
            offset += len(before)
            span = (offset - len(LEFT_OUT) - 1, offset + _behind(before[: -marked.mark], texts[at + 1]))
            seen = marked.image.pictures[0]
            pictures.append(Picture(at + 1, seen.width, seen.height, span, marked.image.digest))
        found = set(numbers)
        lost = Counter(marked.kind for number, marked in enumerate(self._marked) if number not in found)
        file = _packed(self._marked[number].image for number in numbers) if numbers else None
        return "".join(texts), tuple(pictures), file, lost

    def notes(self) -> Iterator[str]:
        """ "2 pictures of cells 3, 7 cannot be shown: a PNG image that is cut short or damaged." """
        for sentence, cells in list(self._said.items())[:_MOST_REASONS]:
            where = ranges_in_words(sorted(set(cells)))
            yield f"{counted(len(cells), 'picture')} of cell{'' if len(set(cells)) == 1 else 's'} {where}{sentence}"
        n_more = sum(map(len, list(self._said.values())[_MOST_REASONS:]))
        if n_more:
            yield f"There is more to say of {counted(n_more, 'other')}."


def _n_pixels(data: bytes, name: str) -> int:
    from engine.corpus.formats.pixels import opened_image

    try:
        with opened_image("picture", data, name) as picture:
            return int(picture.width * picture.height)
    except Exception:  # plugins raise anything on a broken file
        return 0


def _behind(before: str, after: str) -> int:
    """Characters behind a mark that belong to what it stands in: an address in Markdown or HTML, and the line's end. A
    picture is not put into the middle of those."""
    end = None
    if before.endswith(("(", "(<", "<")):
        end = _LINK_END.match(after)
    elif before.endswith(('"', "'", "=")):
        end = _TAG_END.match(after)
    n = end.end() if end else 0
    return n + after.startswith("\n", n)


def _packed(read: Iterable[Source]) -> KeptFile:
    """Images in one file, each content once, in the order in which they are numbered."""
    out, order = BytesIO(), []
    with ZipFile(out, "w") as members:
        for image in read:
            assert image.kept_file is not None
            name = f"{image.pictures[0].number}.{image.kept_file.format}.{image.digest}"
            if name not in members.NameToInfo:
                members.writestr(ZipInfo(name), image.kept_file.data)  # without a time: equal ones have equal bytes
            order.append(name)
        members.writestr(ZipInfo(_ORDER), "\n".join(order))
    return KeptFile(PACKED, out.getvalue())


def draw_embedded(name: str, file: KeptFile, *, number: int, width: int, height: int, quick: bool) -> Pixels | Skipped:
    """The picture of this number of a packed file; see `reader.draw`."""
    try:
        with ZipFile(BytesIO(file.data)) as members:
            member = dict(enumerate(members.read(_ORDER).decode().split("\n"), 1))[number]
            frame, format_name, _ = member.split(".")
            image = KeptFile(format_name, members.read(member))
    except Exception:  # zipfile raises many kinds on a damaged file
        return Skipped(name, Cause.BROKEN, f"picture {number} of it cannot be unpacked", len(file.data))
    assert IMAGE.draw is not None
    return IMAGE.draw(name, image, number=int(frame), width=width, height=height, quick=quick)
