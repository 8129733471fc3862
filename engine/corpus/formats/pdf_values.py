"""Values of PDF objects in words: strings, names, numbers, lists, streams, signatures, options, on-states."""

import html
import re
from typing import Any

from engine.corpus.formats.pdf_tree import mapping, resolved, sequence

_MOST_BYTES = 4 << 20  # of a stream that is a value
_MOST_ITEMS = 10_000
_LANGUAGE = re.compile("\x1b[^\x1b]{1,12}\x1b")  # an escape that names a language, within a string
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_INDEX = re.compile(r"[(\[]\d+[)\]]")
_TAG = re.compile(r"<[^<>]*>")
_BREAK = re.compile(r"(?i)</p\s*>|<br\s*/?>|</div\s*>")
_SIGNED = (("/Name", ""), ("/Reason", "reason: "), ("/Location", "place: "), ("/ContactInfo", "contact: "), ("/M", ""))


def value_in_words(value: Any, *, options: list[Any] | None = None, depth: int = 0) -> str:
    """A value as a person would read it, "" for none. A name loses its slash, a string keeps one. options: of a choice,
    as /Opt has them: what is shown for a value, and the value behind it where that is another."""
    found = resolved(value)
    if found is None or depth > 5:
        return ""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, list):
        items = [value_in_words(item, options=options, depth=depth + 1) for item in list.__iter__(found)]
        return ", ".join(item for item in items[:_MOST_ITEMS] if item)
    if isinstance(found, dict):
        return _stream_in_words(found) if hasattr(found, "get_data") else _signature_in_words(found)
    if type(found).__name__ == "NameObject":
        words = str(found).removeprefix("/")
    elif isinstance(found, bytes):
        words = decoded(bytes(found))
    elif type(found).__name__ == "BooleanObject":
        words = str(found.value).lower()
    else:
        words = decoded(str(found).encode("latin-1")) if str(found).startswith("\xef\xbb\xbf") else str(found)
    words = cleaned(words)
    return _as_shown(words, options) if options else words


def _as_shown(words: str, options: list[Any]) -> str:
    for option in options[:_MOST_ITEMS]:
        pair = sequence(option)
        if pair and len(pair) >= 2 and value_in_words(pair[0], depth=4) == words:
            shown = value_in_words(pair[1], depth=4)
            return shown if shown == words or not shown else f"{shown} ({words})"
    return words


def _stream_in_words(stream: Any) -> str:
    return cleaned(decoded(bytes(stream.get_data())[:_MOST_BYTES]))


def _signature_in_words(found: dict[str, Any]) -> str:
    said = [(before, value_in_words(found.get(key), depth=4)) for key, before in _SIGNED]
    return "; ".join(f"{before}{words}" for before, words in said if words.strip())


def decoded(data: bytes) -> str:
    """A text string of a PDF: UTF-16 or UTF-8 with its mark, else UTF-8 where it is that, else as Latin-1 has it."""
    if data.startswith((b"\xfe\xff", b"\xff\xfe")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def cleaned(words: str) -> str:
    """Line ends as "\\n", control characters and names of languages left out."""
    words = _LANGUAGE.sub("", words.replace("\r\n", "\n").replace("\r", "\n"))
    return _CONTROLS.sub("", words)


def one_line(words: str) -> str:
    """For a name: white space in rows as one space, and no bracket that would end its mark."""
    return " ".join(words.split()).replace("]", ")").replace("[", "(")


def last_part(name: str) -> str:
    """Of "form1[0].page[2].sum[0]": "sum"."""
    return _INDEX.sub("", name).rpartition(".")[2].rpartition(" ")[2]


def without_tags(rich: str) -> str:
    """The words of rich text, which comes as XHTML."""
    if "<" not in rich:
        return rich
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", rich))).strip()


def on_state(widget: dict[str, Any], chain: list[dict[str, Any]], *, is_radio: bool) -> str:
    """What a check box or a radio button that is on stands for; "" where it is off.

    The state that is drawn (/AS) decides, the value (/V) where none is; a value that no button of its field shows is
    told by the first of them.
    """
    state, value = _state(widget.get("/AS")), next((node["/V"] for node in chain if _state(node.get("/V"))), None)
    names = _state(value)
    if not state and not names:
        return ""
    above = chain[1:2] if "/T" not in widget else []  # the field that the button is one of
    kids = [mapping(kid) for node in above for kid in sequence(node.get("/Kids")) or []]
    if not state:
        is_any_on = any(kid is not None and _state(kid.get("/AS")) for kid in kids)
        is_ours = names in _drawn_states(widget)
        is_first = not kids or kids[0] is widget
        if is_any_on or not (is_ours or (is_first and not any(names in _drawn_states(kid or {}) for kid in kids))):
            return ""
    words = value_in_words(value) if names and not (is_radio and state and names != state) else state
    options = next((found for node in chain if (found := sequence(node.get("/Opt")))), None)
    if options and words.isdigit() and int(words) < len(options):
        return value_in_words(options[int(words)])
    return words


def _state(value: Any) -> str:
    """The name of a state, "" where it is off or there is none."""
    words = value_in_words(value)
    return "" if words == "Off" else words


def _drawn_states(widget: dict[str, Any]) -> set[str]:
    normal = mapping((mapping(widget.get("/AP")) or {}).get("/N"))
    return {str(key).removeprefix("/") for key in normal} if normal is not None else set()
