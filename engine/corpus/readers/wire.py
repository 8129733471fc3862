"""What goes between this process and its readers: one request with a descriptor, frames of plain values back.

Nothing that a reader sends is run, and nothing of it is believed: sizes are checked before they are made room for, and
each value for its kind and its range. What a stranger's file could make of its reader ends here.
"""

import json
import os
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from engine.corpus.readers import limits
from engine.corpus.source import Cause, KeptFile, Picture, Skipped, Source, digest_text

HEAD = struct.Struct("<IQ")  # bytes of the JSON fields, bytes of the payload
_REQUEST = struct.Struct("<I")
_PIECE_BYTES = 1 << 20
_MOST_NOTES, _LONGEST_NOTE = 10_000, 100_000  # a note may name files
_LARGEST_SIDE = 1 << 31
_DIGITS = frozenset("0123456789abcdef")


class Nonsense(ValueError):
    """A reader sent what none of ours sends."""


@dataclass(frozen=True, slots=True)
class Frame:
    """fields: small values. payload: bulk bytes beside them."""

    fields: dict[str, Any]
    payload: bytes | bytearray = field(default=b"", repr=False)


@contextmanager
def lent(head: bytes, rest: Callable[[int], bytes], n_bytes: int) -> Iterator[int]:
    """A descriptor of a file without a name that holds these bytes: a reader opens nothing by name, and nobody changes
    them under it. head, rest, n_bytes: as of Incoming. Errors: those of `rest`, OSError where there is no room."""
    is_memory = hasattr(os, "memfd_create")
    if is_memory:
        descriptor = os.memfd_create("read", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        _write(descriptor, head)
        n_left = n_bytes - len(head)
        while n_left > 0 and (piece := rest(min(n_left, _PIECE_BYTES))):
            _write(descriptor, piece)
            n_left -= len(piece)
        if is_memory:
            _seal(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _seal(descriptor: int) -> None:
    import fcntl

    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)


def content_of(descriptor: int) -> bytes:
    """All that a lent file holds."""
    n_bytes, parts, at = os.fstat(descriptor).st_size, list[bytes](), 0
    while at < n_bytes and (part := os.pread(descriptor, n_bytes - at, at)):
        parts.append(part)
        at += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def send_request(channel: socket.socket, fields: Mapping[str, Any], descriptor: int) -> None:
    """Raises OSError where the other side is gone, TimeoutError by the channel's timeout."""
    body = json.dumps(fields, separators=(",", ":")).encode()
    message = memoryview(_REQUEST.pack(len(body)) + body)
    sent = socket.send_fds(channel, [message], [descriptor])
    channel.sendall(message[sent:])


def receive_request(channel: socket.socket) -> tuple[dict[str, Any], int] | None:
    """The reader's side: the fields, and a descriptor to be closed; None when nobody is there any more."""
    head, descriptors, _, _ = socket.recv_fds(channel, _REQUEST.size, 1)
    while head and len(head) < _REQUEST.size:
        head += channel.recv(_REQUEST.size - len(head))
    if not head or not descriptors:
        return None
    (n_left,) = _REQUEST.unpack(head)
    body = bytearray()
    while len(body) < n_left:
        part = channel.recv(n_left - len(body))
        if not part:
            return None
        body += part
    return json.loads(body), descriptors[0]


def send_frame(channel: socket.socket, fields: Mapping[str, Any], *payload: bytes) -> None:
    """The reader's side. Raises OSError where the other side is gone."""
    body = json.dumps(fields, separators=(",", ":")).encode()
    head = HEAD.pack(len(body), sum(map(len, payload))) + body
    if sum(map(len, payload)) < _PIECE_BYTES:  # each piece that is sent may wake the other side
        channel.sendall(b"".join((head, *payload)))
        return
    for part in (head, *payload):
        channel.sendall(part)


def sizes_of(head: bytes | bytearray) -> tuple[int, int]:
    """Bytes of fields and payload of a frame to come. Raises Nonsense for more than anybody sends."""
    n_fields, n_payload = HEAD.unpack(head)
    if n_fields > limits.MOST_FIELDS_BYTES or n_payload > limits.MOST_ANSWER_BYTES:
        raise Nonsense(f"a frame of {n_fields:,} and {n_payload:,} bytes")
    return n_fields, n_payload


def fields_in(body: bytes | bytearray) -> dict[str, Any]:
    """Raises Nonsense."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Nonsense(str(error)) from None
    found: dict[str, Any] = _typed(fields, dict)
    return found


def packed(found: Source | Skipped, same: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """A frame's fields and payload. same: the file as it was given, which need not be sent back."""
    if isinstance(found, Skipped):
        return {"skipped": [found.cause.value, found.reason, found.can_include]}, []
    text, kept = found.text.encode("utf-8", "surrogatepass"), found.kept_file
    fields: dict[str, Any] = {
        "kind": found.kind,
        "digest": found.digest,
        "starts": found.page_starts,
        "encoding": found.encoding,
        "pictures": [[each.number, each.width, each.height, each.span, each.digest] for each in found.pictures],
        "notes": found.notes,
        "reader": found.reader,
        "nature": found.nature,
        "n_text": len(text),
        "kept": None if kept is None else [kept.format, kept.scalable, kept.data == same],
    }
    own = [kept.data] if kept is not None and kept.data != same else []
    return {"source": fields}, [text, *own]


def unpacked(frame: Frame, path: str, n_bytes: int, same: Callable[[], bytes]) -> Source | Skipped:
    """The way back, under a path and a size that a reader does not say. same: gives the file as it was given. Raises
    Nonsense."""
    try:
        if "skipped" in frame.fields:
            cause, reason, can_include = frame.fields["skipped"]
            return Skipped(path, Cause(cause), _text(reason), n_bytes, _typed(can_include, bool))
        return _source(_typed(frame.fields["source"], dict), frame.payload, path, n_bytes, same)
    except (KeyError, TypeError, ValueError, UnicodeError) as error:
        raise Nonsense(f"{type(error).__name__}: {error}") from None


def _source(
    fields: Mapping[str, Any], payload: bytes | bytearray, path: str, n_bytes: int, same: Callable[[], bytes]
) -> Source:
    n_text = _number(fields["n_text"], 0, len(payload))
    view = memoryview(payload)
    text = str(view[:n_text], "utf-8", "surrogatepass")
    starts = tuple(_number(each, 0, len(text)) for each in _typed(fields["starts"], list))
    if any(one > other for one, other in zip(starts, starts[1:], strict=False)):
        raise Nonsense("pages out of order")
    pictures = tuple(_picture(each, len(text)) for each in _typed(fields["pictures"], list))
    notes = _typed(fields["notes"], list)
    source = Source(
        path,
        _text(fields["kind"]),
        text,
        n_bytes,
        _digest(fields["digest"]),
        starts,
        encoding=_text_or_none(fields["encoding"]),
        kept_file=_kept(fields["kept"], view[n_text:], same),
        pictures=pictures,
        notes=tuple(map(_text, notes[:_MOST_NOTES])),
        reader=_text_or_none(fields["reader"]),
        nature=_text(fields["nature"]),
    )
    if pictures and source.kept_file is None:
        raise Nonsense("pictures of nothing")
    if not pictures and starts and source.digest != digest_text(text):  # ids are kept by it
        raise Nonsense("the digest of another text")
    return source


def _kept(fields: Any, own: memoryview, same: Callable[[], bytes]) -> KeptFile | None:
    if fields is None:
        return None
    name, scalable, is_same = fields
    return KeptFile(_text(name), same() if is_same is True else bytes(own), _typed(scalable, bool))


def _picture(fields: Any, n_characters: int) -> Picture:
    number, width, height, span, digest = fields
    if span is not None:
        first, last = (_number(each, 0, n_characters) for each in span)
        span = min(first, last), max(first, last)
    number, width, height = (_number(each, 1, _LARGEST_SIDE) for each in (number, width, height))
    return Picture(number, width, height, span, _digest(digest) if digest else "")


def number_in(value: Any, least: int, most: int) -> int:
    """Raises Nonsense for anything else than a whole number from least to most."""
    return _number(value, least, most)


def _number(value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Nonsense(f"{value!r:.40} is no number from {least} to {most}")
    return value


def _digest(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 32 or not _DIGITS.issuperset(value):
        raise Nonsense(f"{value!r:.40} is no digest")
    return value


def _text(value: Any) -> str:
    return str(_typed(value, str))[:_LONGEST_NOTE]


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _typed(value: Any, kind: type[Any]) -> Any:
    if not isinstance(value, kind):
        raise Nonsense(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value
