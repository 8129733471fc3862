"""What a page's fonts say of their letters besides, by names: where PDFium knows no name, and where maps are wrong.

There are fonts whose maps to characters (/ToUnicode) take letters for other letters, by a rule of some program's own,
and both readers believe them.

A font that names its letters besides, in an encoding of its own, speaks against such a map; but so does one whose codes
were given out anew, and there the map is right. So a page is read once more without the maps, and what reads as writing
wins, in the languages that `letters` knows. Where neither is clearly better, the map stands.
"""

import re
from io import BytesIO
from typing import Any

from engine.corpus.formats.letters import cost, languages
from engine.corpus.formats.pdf_tree import mapping, resolved, sequence

_SAMPLE = 1_000  # characters
_FEWEST = 12  # letters on a page
_FEWEST_AGAINST, _SHARE_AGAINST = 5, 0.3  # letters of a font that its map has otherwise
_WRITING = 5.4  # bits a character: writing takes 3.7 to 5.2, through a cipher 0.7 to 3 more
_BETTER, _BETTER_IN_ALL = 0.6, 18.0
_MOST_NAMES = 1_000
_MOST_MAP = 64 * 1024  # bytes of the map of a font of 256 characters
_SIMPLE = ("/Type1", "/MMType1", "/TrueType", "/Type3")
_BASES = ("/WinAnsiEncoding", "/MacRomanEncoding", "/StandardEncoding")
_BLOCK = re.compile(rb"beginbf(char|range)(.*?)endbf", re.DOTALL)
_CODES = re.compile(rb"<\s*([0-9A-Fa-f\s]*)>|(\[)|(\])")
_LETTER = re.compile(r"[^\W\d_]")
_COUNTED = re.compile(r"[A-Za-z]{1,2}\d+")  # "a65", "g12": a program counted its glyphs
_BY_NUMBER = re.compile(r"uni((?:[0-9A-F]{4})+)|u([0-9A-F]{4,6})")


def reads_better(other: str, text: str) -> bool:
    """Whether a page's text is writing, and another one of the same length clearly is less so."""
    if len(_LETTER.findall(text)) < _FEWEST or abs(len(other) - len(text)) > max(3, len(text) // 10):
        return False
    sample = _sample(other)
    bits = _bits(sample)
    if bits > _WRITING * len(sample):
        return False
    return _bits(_sample(text)) - bits >= max(_BETTER_IN_ALL, _BETTER * len(sample))


def _sample(text: str) -> str:
    return " ".join(text[: 2 * _SAMPLE].split())[:_SAMPLE]


def _bits(sample: str) -> float:
    return cost(sample, tuple(languages()))


def without_maps(page: Any) -> bytes:
    """The page in a PDF of its own, images left out, and without the maps that its fonts' own letters speak against;
    b"" where there is none, or it cannot be written. To be called within `quietly`."""
    from pypdf import PdfWriter
    from pypdf.generic import DictionaryObject, NameObject, StreamObject

    resources = mapping(page.get("/Resources")) or {}
    fonts = mapping(resources.get("/Font")) or {}
    doubtful = [name for name, font in fonts.items() if _is_doubtful(mapping(font))]
    if not doubtful:
        return b""
    writer, out = PdfWriter(), BytesIO()
    try:
        copy = writer.add_blank_page(float(page.mediabox.width), float(page.mediabox.height))
        for key in ("/MediaBox", "/Rotate"):
            if key in page:
                copy[NameObject(key)] = page[key].clone(writer)
        content = StreamObject()
        content.set_data(page.get_contents().get_data())
        copy[NameObject("/Contents")] = writer._add_object(content)
        cloned = DictionaryObject()
        for name, reference in fonts.items():
            font = mapping(reference)
            if font is None:
                continue
            bare = DictionaryObject({key: font.raw_get(key) for key in font})
            if name in doubtful:
                del bare["/ToUnicode"]
            cloned[NameObject(name)] = bare.clone(writer)
        copy[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): cloned})
        writer.write(out)
    except Exception:  # whatever pypdf makes of damaged objects
        return b""
    return out.getvalue()


def _is_doubtful(font: Any) -> bool:
    """Whether a font's map has many of the letters otherwise than the font's own encoding."""
    if font is None or "/ToUnicode" not in font or resolved(font.get("/Subtype")) not in _SIMPLE:
        return False
    names = _letters_by_name(resolved(font.get("/Encoding")))
    if len(names) < _FEWEST_AGAINST:
        return False
    try:
        mapped = _mapped(resolved(font["/ToUnicode"]).get_data()[:_MOST_MAP])
    except Exception:  # a map by name; whatever pypdf makes of damaged streams
        return False
    both = [code for code in names if code in mapped]
    n_against = sum(mapped[code] != names[code] for code in both)
    return n_against >= _FEWEST_AGAINST and n_against > _SHARE_AGAINST * len(both)


def _letters_by_name(encoding: Any) -> dict[int, int]:
    """The codes of ASCII's letters by a font's encoding, and the characters that they are."""
    base = encoding.get("/BaseEncoding") if isinstance(encoding, dict) else encoding
    letters = {code: code for code in range(0x41, 0x7B) if chr(code).isalpha()} if resolved(base) in _BASES else {}
    code = 0
    for each in (sequence(encoding.get("/Differences")) or [] if isinstance(encoding, dict) else [])[:_MOST_NAMES]:
        item = resolved(each)
        if isinstance(item, int):
            code = item
            continue
        letters.pop(code, None)
        name = str(item)[1:]
        if len(name) == 1 and name.isascii() and name.isalpha():
            letters[code] = ord(name)
        code += 1
    return letters


def _mapped(data: bytes) -> dict[int, int]:
    """The first character of what a map has for each code of one byte."""
    found: dict[int, int] = {}
    for block in _BLOCK.finditer(data):
        row: list[bytes] = []
        for each in _CODES.finditer(block[2]):
            if each[1] is None:
                return {}  # an array: no map of this kind
            row.append(b"".join(each[1].split()))
            if len(row) < (2 if block[1] == b"char" else 3):
                continue
            first, last, to = int(row[0] or b"0", 16), int(row[-2] or b"0", 16), int(row[-1][:4] or b"0", 16)
            found.update((code, to + code - first) for code in range(first, min(last, 255) + 1))
            row = []
    return found


def spelled_by_names(page: Any) -> dict[int, str]:
    """What the codes of a page's fonts stand for by the names of their glyphs, as Adobe's rules for names have it:
    "f_f_i" is "ffi", "a.sc" is "a". Codes on which its fonts do not agree are left out."""
    fonts = mapping((mapping(page.get("/Resources")) or {}).get("/Font")) or {}
    found: dict[int, str] = {}
    for reference in fonts.values():
        font = mapping(reference)
        encoding = mapping(font.get("/Encoding")) if font is not None else None
        code = 0
        for each in (sequence(encoding.get("/Differences")) or [] if encoding is not None else [])[:_MOST_NAMES]:
            item = resolved(each)
            if isinstance(item, int):
                code = item
                continue
            words = _spelled(str(item))
            found[code] = words if found.get(code, words) == words else ""
            code += 1
    return {code: words for code, words in found.items() if words}


def _spelled(name: str) -> str:
    """The characters of a glyph's name, "" where a part of it says nothing."""
    from pypdf._codecs.adobe_glyphs import adobe_glyphs  # the list of names, which pypdf keeps for itself

    parts = []
    for part in name.removeprefix("/").partition(".")[0].split("_"):
        numbered = _BY_NUMBER.fullmatch(part)
        if numbered is None:
            parts.append("" if _COUNTED.fullmatch(part) else adobe_glyphs.get(f"/{part}", ""))
        elif numbered[1]:
            parts.append(bytes.fromhex(numbered[1]).decode("utf-16-be", "replace"))
        else:
            parts.append(chr(int(numbered[2], 16)) if int(numbered[2], 16) <= 0x10FFFF else "")
    return "".join(parts) if all(parts) else ""
