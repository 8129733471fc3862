"""The digest of a source that a stranger sends: what it says of itself is believed only where it can be worked out.

Ids of texts and embeddings of pictures are kept on this machine by digest. One that lies would put its own in the place
of what really has that digest.
"""

from dataclasses import replace
from io import BytesIO
from zipfile import ZipFile

from engine.corpus.formats.embedded import PACKED
from engine.corpus.source import KeptFile, Picture, Source, digest_bytes, digest_text

_MOST_BYTES = 1 << 30  # of a packed file's pictures
_MOST_ORDER_BYTES = 1 << 20


def with_own_digest(source: Source) -> Source:
    """The source with a digest of what it holds: its own where it can be one, as readers make it, else another."""
    pictures = _with_own_digests(source.kept_file, source.pictures)
    source = replace(source, pictures=pictures)
    if not pictures and (source.text or source.kept_file is None):
        return replace(source, digest=digest_text(source.text))
    return source if source.digest in _candidates(source) else replace(source, digest=_of_all(source))


def _candidates(source: Source) -> tuple[str, ...]:
    """The digests that the readers of the formats make of what it holds, and the one that is made here."""
    data = source.kept_file.data if source.kept_file else b""
    text, file = digest_text(source.text), digest_bytes(data)
    chosen = [picture.number for picture in source.pictures]
    made = [_of_all(source)]
    if source.kind == "image":
        made += [file, digest_bytes(f"{file} {chosen}".encode())]
    if source.kind == "pdf":
        made.append(digest_bytes(f"{text} {source.pictures}".encode() + data))
    if source.kind == "notebook":
        made.append(digest_text(f"{text} {[(each.digest, each.span) for each in source.pictures]}"))
    return tuple(made)


def _of_all(source: Source) -> str:
    data = source.kept_file.data if source.kept_file else b""
    shown = [(each.number, each.width, each.height, each.span, each.digest) for each in source.pictures]
    return digest_text(f"imported {digest_text(source.text)} {digest_bytes(data)} {shown}")


def _with_own_digests(file: KeptFile | None, pictures: tuple[Picture, ...]) -> tuple[Picture, ...]:
    """The pictures with digests of what they are drawn from; "" where that is the file as a whole."""
    if not any(picture.digest for picture in pictures):
        return pictures
    members = _members(file) if file is not None and file.format == PACKED else {}
    # one that stands behind its text is drawn from the file as a whole
    return tuple(replace(each, digest=members.get(each.number, "") if each.span else "") for each in pictures)


def _members(file: KeptFile) -> dict[int, str]:
    """The digests of a packed file's pictures by number; those up to where it is damaged."""
    found: dict[int, str] = {}
    left = _MOST_BYTES
    try:
        with ZipFile(BytesIO(file.data)) as members:
            if members.getinfo("order").file_size > _MOST_ORDER_BYTES:
                return {}
            for number, name in enumerate(members.read("order").decode().split("\n"), 1):
                left -= members.getinfo(name).file_size
                if left < 0:
                    break
                found[number] = digest_bytes(members.read(name))
    except Exception:  # zipfile raises many kinds on a damaged file
        pass
    return found
