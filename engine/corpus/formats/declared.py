"""What a text says of its own encoding, in its first lines, and what that means: labels are read as browsers read them.

https://encoding.spec.whatwg.org/#names-and-labels: who wrote "iso-8859-1" meant Windows-1252, and "gb2312" GB 18030.
Whether the bytes bear it out is left to `text`.
"""

import codecs
import re
from dataclasses import dataclass

_SEARCHED_BYTES = 1024
_DECLARED = re.compile(
    rb"""(?:coding[:=][ \t]*
    |charset[ \t]*=[ \t]*["']?
    |@charset[ \t]+["']
    |<\?xml[^>]{0,80}?encoding[ \t]*=[ \t]*["']
    |\\usepackage\[
    |SET[ ]NAMES[ ]+['"]?
    )([-\w.:]+)""",
    re.VERBOSE,
)
_INPUTENC = rb"\usepackage["
_CODE_PAGE = re.compile(r"(?:x-)?(?:windows|win|cp|ibm|ms|dos|oem)[-_]?(\d{3,4})")
_WHOLE = {  # an encoding, and the one that browsers read in its place: it holds the first
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
_LABELS = {  # those that Python does not know
    "ansinew": "cp1252",
    "applemac": "mac_roman",
    "latin9": "iso8859-15",
    "logical": "iso8859-8",
    "visual": "iso8859-8",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "csiso88598i": "iso8859-8",
    "sun_eu_greek": "iso8859-7",
    "macintosh": "mac_roman",
    "x-mac-roman": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "x-mac-ukrainian": "mac_cyrillic",
    "koi": "koi8-r",
    "koi8": "koi8-r",
    "koi8-ru": "koi8-u",
    "csbig5": "big5",
    "cn-big5": "big5",
    "x-x-big5": "big5",
    "csgb2312": "gb2312",
    "cn-gb": "gb2312",
    "x-gbk": "gbk",
    "x-sjis": "shift_jis",
    "windows-31j": "cp932",
    "cseucpkdfmtjapanese": "euc_jp",
    "x-euc-jp": "euc_jp",
    "cseuckr": "euc_kr",
    "ksc5601": "euc_kr",
    "utf8mb4": "utf-8",
    "utf8mb3": "utf-8",
    "utf8x": "utf-8",
    "unicode": "utf-16",
    "unicodefffe": "utf-16",
    "ucs-2": "utf-16",
    "ucs-4": "utf-32",
}
_ESCAPING_CODECS = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined", "utf-7", "mbcs"})


@dataclass(frozen=True, slots=True)
class Declared:
    """label: as the text has it. encoding: as Python names it. whole: the one to read it as, which holds the first."""

    label: str
    encoding: str
    whole: str

    @property
    def is_wide(self) -> bool:
        """Whether it cannot be so, since the declaration itself stands in single bytes."""
        return self.encoding.startswith(("utf-16", "utf-32"))


def declared(data: bytes) -> Declared | None:
    """By a coding line of Python or Emacs, an XML declaration, a charset of HTML, CSS or a mail, LaTeX's inputenc or a
    dump's SET NAMES, in the first 1,024 bytes; None where there is none, or none that is known."""
    head = data[:_SEARCHED_BYTES]
    for found in _DECLARED.finditer(head):
        if head.startswith(_INPUTENC, found.start()) and not head.startswith(b"]{inputenc}", found.end()):
            continue
        label = found[1].decode("ascii", "replace").rstrip(".:")
        encoding = _codec(label)
        if encoding is not None:
            return Declared(label, encoding, _WHOLE.get(encoding, encoding))
    return None


def _codec(label: str) -> str | None:
    """The encoding as Python names it; None for one that it cannot read, or that is no encoding of text."""
    low = label.lower()
    page = _CODE_PAGE.fullmatch(low)
    for name in (_LABELS.get(low), low, f"cp{page[1]}" if page else None, low.removeprefix("x-")):
        if not name:
            continue
        try:
            found = codecs.lookup(name)
        except (LookupError, ValueError):
            continue
        if found.name not in _ESCAPING_CODECS and found._is_text_encoding:
            return found.name
    return None
