"""A whole session at once: in one transaction, so that all of it is there afterwards or nothing."""

import sqlite3

from storage.branches import choose_leaf
from storage.columns import pack_ids, pack_json, pack_text
from storage.contents import put_and_link
from storage.identity import draw_id, is_id
from storage.kept_notes import put_note
from storage.records import Session, SessionRecord, Turn
from storage.schema import Database
from storage.search import TITLE_INDEX, index_passage
from storage.sources import Arrived, Ready, link_placed, put_skipped_rows


def put_session(database: Database, record: SessionRecord) -> str:
    """Stores a session with its times as they are; its id, which is a new one where another session has its own.

    The turns' own ids and session ids are not looked at. Raises StorageFailed as every writing does.
    """
    ready = Ready(Arrived(sources=[at.source for at in record.sources], turn_index=0))

    def link(connection: sqlite3.Connection) -> str:
        session_id = record.session.id
        taken = connection.execute("SELECT 1 FROM sessions WHERE id = ?", (pack_text(session_id),)).fetchone()
        if taken or not is_id(session_id):
            session_id = draw_id()
        _put_head(connection, session_id, record.session)
        link_placed(connection, session_id, record.sources, ready)
        put_skipped_rows(connection, session_id, record.skipped)
        for turn in record.all_turns:
            _put_turn(connection, session_id, turn)
        for note in record.kept_notes:
            put_note(connection, session_id, note, _pack(note.created))
        if record.turns:
            choose_leaf(connection, session_id, record.turns[-1].index)
        return session_id

    return put_and_link(database, ready.contents, link)


def _put_head(connection: sqlite3.Connection, session_id: str, session: Session) -> None:
    connection.execute(
        """INSERT INTO sessions (id, title, created, updated, model, system, frozen_date, settings)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            session_id,
            pack_text(session.title),
            _pack(session.created),
            _pack(session.updated),
            pack_text(session.model),
            pack_text(session.system),
            session.frozen_date,
            pack_json(dict(session.settings)),
        ),
    )
    index_passage(connection, session_id, TITLE_INDEX, "title", session.title)


def _put_turn(connection: sqlite3.Connection, session_id: str, turn: Turn) -> None:
    citations = None if turn.citations is None else [citation.to_json() for citation in turn.citations]
    cells = {
        "session_id": session_id,
        "position": turn.index,
        "parent": turn.parent,
        "lease": "",
        "stop": turn.stop,
        "created": _pack(turn.created),
        "written": _pack(turn.finished or turn.created),
        "vocabulary": pack_text(turn.vocabulary),
        "settings": pack_json(dict(turn.settings)),
        "prefill_done": turn.prefill_done,
        "prompt_tokens": turn.prompt_tokens,
        "reused_tokens": turn.reused_tokens,
        "reply_tokens": turn.reply_tokens,
        "read_s": turn.read_s,
        "load_s": turn.load_s,
        "prefill_s": turn.prefill_s,
        "ttft_s": turn.ttft_s,
        "error": pack_text(turn.error),
        "question": pack_text(turn.question),
        "citations": pack_json(citations),
        "receipt": pack_json(turn.receipt),
        "reply_ids": pack_ids(turn.reply_ids),
        "text": pack_text(turn.text),
    }
    marks = ", ".join("?" * len(cells))
    connection.execute(f"INSERT INTO turns ({', '.join(cells)}) VALUES ({marks})", tuple(cells.values()))
    index_passage(connection, session_id, turn.index, "question", turn.question)
    index_passage(connection, session_id, turn.index, "text", turn.text)


def _pack(time: str) -> str:
    """A time as records have it, in seconds, as columns have it."""
    return f"{time[:19]}.000000Z"
