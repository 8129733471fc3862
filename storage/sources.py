"""What a session's corpus is made of: each content once, by its digest, and in every session the order of its links.

Also what was skipped and why. Reading files is left to engine.corpus.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.corpus.source import Cause, KeptFile, Picture, Skipped, Source, digest_bytes
from engine.errors import UsageError
from storage.columns import pack_text, unpack_optional, unpack_text
from storage.contents import Content, forget_later, put_and_link, unpacked
from storage.identity import require_session, touch_session
from storage.records import SessionSource, SourceLink
from storage.schema import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What comes into a session at once. turn_index: of the turn that carries new sources first. skipped: what was left
    out and why. left_out, sent_again: paths of the session that are not sent from now on, or are. brought_back: one
    that was listed as skipped, and is no more."""

    turn_index: int
    sources: Sequence[Source] = ()
    skipped: Sequence[Skipped] = ()
    left_out: Sequence[str] = ()
    sent_again: Sequence[str] = ()
    brought_back: str | None = None


class Ready:
    """What arrives with all that is worked out beforehand, so that nobody waits for that: contents by digest, the rows
    that link them, each with its path."""

    def __init__(self, arrived: Arrived) -> None:
        self.arrived = arrived
        self.contents: dict[str, Content] = {}
        self.rows = [(pack_text(source.path), _cells(source, self.contents)) for source in arrived.sources]


class Sources:
    """The sources of all sessions of a database. Session ids are whole ones."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, session_id: str, sources: Sequence[Source], *, turn_index: int) -> None:
        """As `take_in`, of nothing but sources."""
        self.take_in(session_id, Arrived(sources=sources, turn_index=turn_index))

    def take_in(
        self, session_id: str, arrived: Arrived, also: Callable[[sqlite3.Connection], None] = lambda _: None
    ) -> None:
        """Stores what is new and links it at the end of the session's order, as carried first by that turn; all of it,
        or nothing.

        A path that is linked already keeps position, turn and whether it is enabled; what it holds becomes what was
        given. It leaves the skipped. Of a source's volatility nothing is kept: it counts where a source joins only.
        also: what else is written with it. Raises UsageError without such a session.
        """
        ready = Ready(arrived)

        def link(connection: sqlite3.Connection) -> set[str]:
            require_session(connection, session_id)
            also(connection)
            return link_ready(connection, session_id, ready)

        forget_later(self._database, put_and_link(self._database, ready.contents, link))

    def of(self, session_id: str, *, enabled_only: bool = False) -> tuple[SessionSource, ...]:
        """The session's sources in order, each equal to the one that was put, the bytes of kept files included."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"{_WHOLE} {'AND enabled' if enabled_only else ''} ORDER BY position", (pack_text(session_id),)
            )
            return tuple(_session_source(connection, row) for row in rows)

    def one(self, session_id: str, path: str) -> SessionSource | None:
        """The session's source of this path, None where it has none."""
        with self._database.read() as connection:
            row = connection.execute(f"{_WHOLE} AND path = ?", (pack_text(session_id), pack_text(path))).fetchone()
            return _session_source(connection, row) if row is not None else None

    def links(self, session_id: str) -> tuple[SourceLink, ...]:
        """The same in the same order without the contents: for lists, which need not read 50 MB."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT * FROM session_sources WHERE session_id = ? ORDER BY position", (pack_text(session_id),)
            )
            return tuple(_link(row) for row in rows)

    def beginnings(self, digests: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
        """The paths that the last sessions send first, as long as they are of these with these digests.

        The session used last comes first; those that begin with something else are left out. Rows are read up to where
        a session differs, and no session after one that begins with all of these.
        """
        found = []
        with self._database.read() as connection:
            for (session_id,) in connection.execute(_LAST_SESSIONS, (_N_SESSIONS,)).fetchall():
                paths = tuple(_same(connection.execute(_SENT, (session_id,)), digests))
                if paths:
                    found.append(paths)
                if len(paths) == len(digests):
                    break
        return tuple(found)

    def set_enabled(self, session_id: str, paths: Iterable[str], *, enabled: bool) -> None:
        """Says whether these are sent. For a path that is not in the session, raises UsageError and changes nothing."""
        with self._database.write() as connection:
            require_session(connection, session_id)
            _enable(connection, session_id, paths, enabled=enabled)

    def put_skipped(self, session_id: str, skipped: Sequence[Skipped]) -> None:
        """Keeps what was left out and why; a path that is there already gets the new reason. Raises as put does."""
        with self._database.write() as connection:
            require_session(connection, session_id)
            put_skipped_rows(connection, session_id, skipped)

    def drop_skipped(self, session_id: str, path: str) -> None:
        """Takes a path from the skipped: a folder that was brought back; a file leaves when it is put as a source."""
        with self._database.write() as connection:
            _drop_skipped(connection, session_id, path)

    def skipped(self, session_id: str) -> tuple[Skipped, ...]:
        """What was left out, in the order in which it was first put."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT * FROM session_skipped WHERE session_id = ? ORDER BY rowid", (pack_text(session_id),)
            )
            return tuple(
                Skipped(
                    path=unpack_text(row["path"]),
                    cause=Cause(row["cause"]),
                    reason=unpack_text(row["reason"]),
                    n_bytes=row["n_bytes"],
                    can_include=bool(row["can_include"]),
                )
                for row in rows
            )


def put_skipped_rows(connection: sqlite3.Connection, session_id: str, skipped: Sequence[Skipped]) -> None:
    """As Sources.put_skipped, within a transaction."""
    connection.executemany(
        """INSERT INTO session_skipped (session_id, path, cause, reason, n_bytes, can_include)
        VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (session_id, path) DO UPDATE SET cause = excluded.cause,
        reason = excluded.reason, n_bytes = excluded.n_bytes, can_include = excluded.can_include""",
        [
            (session_id, pack_text(one.path), str(one.cause), pack_text(one.reason), one.n_bytes, one.can_include)
            for one in skipped
        ],
    )


def link_ready(connection: sqlite3.Connection, session_id: str, ready: Ready) -> set[str]:
    """As Sources.take_in, within a transaction in which the contents are there. Returns the digests of what the session
    does not link, of these and of those that it linked before."""
    arrived, before = ready.arrived, linked_contents(connection, session_id)
    _link_all(connection, session_id, arrived.turn_index, ready.rows)
    put_skipped_rows(connection, session_id, arrived.skipped)
    _enable(connection, session_id, arrived.left_out, enabled=False)
    _enable(connection, session_id, arrived.sent_again, enabled=True)
    if arrived.brought_back is not None:
        _drop_skipped(connection, session_id, arrived.brought_back)
    touch_session(connection, session_id)
    return (before | ready.contents.keys()) - linked_contents(connection, session_id)


def _enable(connection: sqlite3.Connection, session_id: str, paths: Iterable[str], *, enabled: bool) -> None:
    for path in paths:
        cursor = connection.execute(
            "UPDATE session_sources SET enabled = ? WHERE session_id = ? AND path = ?",
            (enabled, session_id, pack_text(path)),
        )
        if not cursor.rowcount:
            raise UsageError(f"Session {session_id} has no source {path}.", "`longdesk sessions show` lists them.")


def _drop_skipped(connection: sqlite3.Connection, session_id: str, path: str) -> None:
    connection.execute("DELETE FROM session_skipped WHERE session_id = ? AND path = ?", (session_id, pack_text(path)))


def link_placed(connection: sqlite3.Connection, session_id: str, placed: Sequence[SessionSource], ready: Ready) -> None:
    """Links sources to a session that has none, each at its place; what they hold is there. ready: the same sources."""
    for at, (_, cells) in zip(placed, ready.rows, strict=True):
        connection.execute(_LINK, (session_id, at.position, at.turn_index, *cells))
    connection.executemany(
        "UPDATE session_sources SET enabled = 0 WHERE session_id = ? AND path = ?",
        [(session_id, pack_text(at.source.path)) for at in placed if not at.enabled],
    )


def linked_contents(connection: sqlite3.Connection, session_id: str) -> set[str]:
    """The digests of the contents that a session links."""
    rows = connection.execute(
        "SELECT text_content, file_content FROM session_sources WHERE session_id = ?", (session_id,)
    )
    return {digest for row in rows for digest in row if digest is not None}


_WHOLE = """SELECT link.*, body.deflated AS text_deflated, body.data AS text_data,
    file.deflated AS file_deflated, file.data AS file_data FROM session_sources AS link
    LEFT JOIN contents AS body ON body.digest = text_content
    LEFT JOIN contents AS file ON file.digest = file_content
    WHERE session_id = ?"""
_N_SESSIONS = 16  # that are looked at: for an older one hardly a KV state is left
_LAST_SESSIONS = """SELECT id FROM sessions WHERE EXISTS (SELECT 1 FROM session_sources WHERE session_id = id)
    ORDER BY updated DESC, rowid DESC LIMIT ?"""
_SENT = "SELECT path, digest FROM session_sources WHERE session_id = ? AND enabled ORDER BY position"


def _same(rows: Iterable[sqlite3.Row], digests: Mapping[str, str]) -> Iterator[str]:
    """The paths of the first rows, up to the first that is not among these or has another digest."""
    for row in rows:
        path = unpack_text(row["path"])
        if digests.get(path) != row["digest"]:
            return
        yield path


def _text_content(source: Source) -> Content | None:
    # Of the very bytes that are stored, whatever Source.digest may come to mean: what comes back is exact.
    data = source.text.encode("utf-8", "surrogatepass")
    return Content(digest_bytes(data), data, True) if data else None


def _file_content(source: Source) -> Content | None:
    data = source.kept_file.data if source.kept_file else None
    return Content(digest_bytes(data), data, False) if data is not None else None


def _link_all(
    connection: sqlite3.Connection, session_id: str, turn_index: int, ready: Sequence[tuple[Any, tuple[Any, ...]]]
) -> None:
    rows = connection.execute("SELECT path, position FROM session_sources WHERE session_id = ?", (session_id,))
    positions = {row["path"]: row["position"] for row in rows}
    linked = [(session_id, positions.setdefault(path, len(positions)), turn_index, *cells) for path, cells in ready]
    connection.executemany(_LINK, linked)
    connection.executemany(
        "DELETE FROM session_skipped WHERE session_id = ? AND path = ?", [(session_id, path) for path, _ in ready]
    )


_LINK = """INSERT INTO session_sources (session_id, position, turn_index, path, kind, digest, n_bytes, encoding,
    text_content, file_content, file_format, file_scalable, notes, page_starts, origin, pictures, reader, folder)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (session_id, path) DO UPDATE SET
    kind = excluded.kind, digest = excluded.digest, n_bytes = excluded.n_bytes, encoding = excluded.encoding,
    text_content = excluded.text_content, file_content = excluded.file_content, file_format = excluded.file_format,
    file_scalable = excluded.file_scalable, notes = excluded.notes, page_starts = excluded.page_starts,
    pictures = excluded.pictures, reader = excluded.reader, origin = coalesce(excluded.origin, origin)"""


def _cells(source: Source, contents: dict[str, Content]) -> tuple[Any, ...]:
    """The row that links a source; what it holds is added to the contents."""
    text, file = _text_content(source), _file_content(source)
    contents.update({content.digest: content for content in (text, file) if content})
    return (
        pack_text(source.path),
        source.kind,
        source.digest,
        source.n_bytes,
        source.encoding,
        text.digest if text else None,
        file.digest if file else None,
        source.kept_file.format if source.kept_file else None,
        source.kept_file.scalable if source.kept_file else None,
        json.dumps(source.notes),
        json.dumps(source.page_starts),
        pack_text(source.origin),
        json.dumps([_packed(picture) for picture in source.pictures]),
        source.reader,
        pack_text(source.folder),
    )


def _link(row: sqlite3.Row) -> SourceLink:
    return SourceLink(
        path=unpack_text(row["path"]),
        kind=row["kind"],
        n_bytes=row["n_bytes"],
        digest=row["digest"],
        n_pages=len(json.loads(row["page_starts"])) or None,
        encoding=unpack_optional(row["encoding"]),
        notes=tuple(json.loads(row["notes"])),
        has_file=row["file_content"] is not None,
        position=row["position"],
        turn_index=row["turn_index"],
        enabled=bool(row["enabled"]),
        origin=unpack_optional(row["origin"]),
        pictures=_pictures(row["pictures"]),
        reader=row["reader"],
        folder=unpack_optional(row["folder"]),
    )


def _session_source(connection: sqlite3.Connection, row: sqlite3.Row) -> SessionSource:
    file = None
    if row["file_content"] is not None:
        data = unpacked(connection, row["file_deflated"], row["file_data"])
        file = KeptFile(row["file_format"], data, scalable=bool(row["file_scalable"]))
    text = b""
    if row["text_content"] is not None:
        text = unpacked(connection, row["text_deflated"], row["text_data"])
    source = Source(
        path=unpack_text(row["path"]),
        kind=row["kind"],
        text=text.decode("utf-8", "surrogatepass"),
        n_bytes=row["n_bytes"],
        digest=row["digest"],
        page_starts=tuple(json.loads(row["page_starts"])),
        encoding=unpack_optional(row["encoding"]),
        kept_file=file,
        pictures=_pictures(row["pictures"]),
        notes=tuple(json.loads(row["notes"])),
        reader=row["reader"],
        folder=unpack_optional(row["folder"]),
        origin=unpack_optional(row["origin"]),
    )
    return SessionSource(source, row["position"], row["turn_index"], bool(row["enabled"]))


def _packed(picture: Picture) -> tuple[Any, ...]:
    """The picture's cells; most have no place and no digest of their own."""
    size = (picture.number, picture.width, picture.height)
    return size if picture.span is None else (*size, picture.span, picture.digest)


def _pictures(packed: str) -> tuple[Picture, ...]:
    return tuple(_picture(*cells) for cells in json.loads(packed))


def _picture(number: int, width: int, height: int, span: list[int] | None = None, digest: str = "") -> Picture:
    return Picture(number, width, height, (span[0], span[1]) if span else None, digest)
