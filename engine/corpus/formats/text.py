"""Text and code: how large it may be, and what becomes of what is none. How bytes become text is left to `decoding`."""

from engine.corpus.formats.decoding import decode
from engine.corpus.formats.format import Format, Incoming
from engine.corpus.formats.sniff import describe, is_called_image, misnamed
from engine.corpus.source import Cause, Skipped, Source, digest_bytes, digest_text
from engine.corpus.wording import over_limit


def read_text(file: Incoming) -> Source | Skipped:
    """The file as text, or why it is none."""
    rules = file.rules
    limit = max(rules.max_text_bytes, rules.max_file_bytes) if file.included else rules.max_text_bytes
    if file.n_bytes > limit:
        head = file.head.data
        if decode(head[: len(head) // 2]) is None:  # half: not cut within a character that the rest would complete
            return _not_text(file)
        return file.skipped(Cause.TOO_LARGE, over_limit(file.n_bytes, limit, "text"), can_include=not file.included)
    data = file.data()
    decoded = decode(data)
    if decoded is None:
        return _not_text(file, is_void=not data.strip(b"\x00"))
    text, notes = decoded.text, decoded.notes
    if is_called_image(file.path):
        notes = (*notes, "Named as an image, but it holds text and is sent as text.")
    elif named := misnamed(file.path, file.head.data):
        notes = (*notes, named)
    if not text or text.isspace():
        return file.skipped(Cause.EMPTY, "nothing but white space")
    # the digest is of the text in UTF-8, which the file's bytes already are: 30 ms saved on 40 MB
    digest = digest_bytes(data) if decoded.encoding == "utf-8" and not notes else digest_text(text)
    return Source(file.path, TEXT.kind, text, file.n_bytes, digest, encoding=decoded.encoding, notes=notes)


def _not_text(file: Incoming, *, is_void: bool = False) -> Skipped:
    """is_void: all zeros, as a download leaves it that broke off."""
    if is_called_image(file.path):
        what = "nothing but zeros in it; copy it anew" if is_void else "not in a format that is known; save it as PNG"
        return file.skipped(Cause.BROKEN, f"named as an image, but {what}")
    return file.skipped(Cause.BINARY, describe(file.path) or "not text")


TEXT = Format(kind="text", recognise=lambda head: None if head.other else "text", read=read_text)
