"""One file's bytes to a source, or to the reason why not. Owns the size limits and the choice of reader; where the
bytes come from is left to `disk` and `archive`."""

from collections.abc import Callable
from dataclasses import replace

from engine.corpus.image import read_image
from engine.corpus.notebook import read_notebook
from engine.corpus.rules import Rules
from engine.corpus.sniff import HEAD_BYTES, Family, describe, ending, is_called_image, recognise
from engine.corpus.source import Cause, Kind, Skipped, Source, digest_bytes, digest_text
from engine.corpus.text import Decoded, decode, without_surrogates
from engine.corpus.wording import over_limit

NESTED_ZIP = "an archive inside a folder; give it by itself to read it"

Read = Callable[[int], bytes]
"""Takes a number of bytes, gives the next ones; fewer only at the end."""


def read_content(path: str, n_bytes: int, read: Read, rules: Rules, *, included: bool = False) -> Source | Skipped:
    """The file as a source, or why it is none. Reads no more than it must: the head alone of what will be skipped.

    n_bytes: the size as the file system or the archive states it. included: the user brought it back.
    Errors: those of `read`.
    """
    if n_bytes == 0:
        anew = "; copy or save it anew" if is_called_image(path) else ""
        return Skipped(path, Cause.EMPTY, f"0 bytes{anew}", 0)
    if n_bytes > max(rules.max_text_bytes, rules.max_file_bytes):
        return _too_large_for_all(path, n_bytes, rules)
    head = read(min(n_bytes, HEAD_BYTES))
    found = recognise(head, path)
    if found.family is Family.BINARY:
        return Skipped(path, Cause.BINARY, found.words, n_bytes)
    if found.family is Family.ZIP:
        return Skipped(path, Cause.BINARY, NESTED_ZIP, n_bytes, can_include=True)
    if found.family is Family.TEXT:
        return _read_text(path, n_bytes, head, read, rules, included)
    if n_bytes > rules.max_file_bytes:
        reason = over_limit(n_bytes, rules.max_file_bytes, "an image" if found.family is Family.IMAGE else found.words)
        return Skipped(path, Cause.TOO_LARGE, reason, n_bytes)
    data = _rest(head, n_bytes, read)
    if found.family is Family.IMAGE:
        return read_image(path, data, found.words, rules)
    from engine.corpus.pdf import read_pdf  # here: pypdf takes 0.1 s to import, and most folders hold no PDF

    return read_pdf(path, data, rules)


def _rest(head: bytes, n_bytes: int, read: Read) -> bytes:
    return head + read(n_bytes - len(head)) if n_bytes > len(head) else head


def _too_large_for_all(path: str, n_bytes: int, rules: Rules) -> Skipped:
    """Without opening it: the name is all there is to go by."""
    words = describe(path)
    if words:
        return Skipped(path, Cause.BINARY, words, n_bytes)
    if ending(path) in ("pdf", "zip") or is_called_image(path):
        reason = over_limit(n_bytes, rules.max_file_bytes, "a file of this kind")
    else:
        reason = over_limit(n_bytes, rules.max_text_bytes, "text")
    return Skipped(path, Cause.TOO_LARGE, reason, n_bytes)


def _read_text(path: str, n_bytes: int, head: bytes, read: Read, rules: Rules, included: bool) -> Source | Skipped:
    limit = max(rules.max_text_bytes, rules.max_file_bytes) if included else rules.max_text_bytes
    if n_bytes > limit:
        if decode(head[: len(head) // 2]) is None:  # half: not cut within a character that the rest would complete
            return _not_text(path, n_bytes)
        return Skipped(path, Cause.TOO_LARGE, over_limit(n_bytes, limit, "text"), n_bytes, can_include=not included)
    data = _rest(head, n_bytes, read)
    decoded = decode(data)
    if decoded is None:
        return _not_text(path, n_bytes, is_void=not data.strip(b"\x00"))
    if is_called_image(path):
        decoded = replace(decoded, notes=(*decoded.notes, "Named as an image, but it holds text and is sent as text."))
    if not decoded.text or decoded.text.isspace():
        return Skipped(path, Cause.EMPTY, "nothing but white space", n_bytes)
    if ending(path) == "ipynb":
        return _as_notebook(path, n_bytes, decoded)
    # the digest is of the text in UTF-8, which the file's bytes already are: 30 ms saved on 40 MB
    digest = digest_bytes(data) if decoded.encoding == "utf-8" and not decoded.notes else digest_text(decoded.text)
    return Source(path, Kind.TEXT, decoded.text, n_bytes, digest, encoding=decoded.encoding, notes=decoded.notes)


def _as_notebook(path: str, n_bytes: int, decoded: Decoded) -> Source | Skipped:
    cells = read_notebook(decoded.text)
    if cells == "":
        return Skipped(path, Cause.NO_TEXT, "a notebook without cells", n_bytes)
    if cells is None:
        notes = (*decoded.notes, "Called a notebook but not readable as one; taken as plain text.")
        digest = digest_text(decoded.text)
        return Source(path, Kind.TEXT, decoded.text, n_bytes, digest, encoding=decoded.encoding, notes=notes)
    text = without_surrogates(cells)
    return Source(path, Kind.NOTEBOOK, text, n_bytes, digest_text(text), encoding=decoded.encoding, notes=decoded.notes)


def _not_text(path: str, n_bytes: int, *, is_void: bool = False) -> Skipped:
    """is_void: all zeros, as a download leaves it that broke off."""
    if is_called_image(path):
        what = "nothing but zeros in it; copy it anew" if is_void else "not in a format that is known; save it as PNG"
        return Skipped(path, Cause.BROKEN, f"named as an image, but {what}", n_bytes)
    return Skipped(path, Cause.BINARY, describe(path) or "not text", n_bytes)
