"""A session's id: how it is drawn, found by its beginning, and required by what belongs to a session."""

import secrets
import sqlite3

from engine.errors import UsageError
from storage.columns import pack_text, pack_time

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"  # base32, lowercase: safe in a URL and on a shell's line
LENGTH = 10  # 50 bits
NAMED_AT_MOST = 5


def draw_id() -> str:
    """A new id, not to be guessed."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def is_id(text: str) -> bool:
    """Whether it can be a session's id, whole."""
    return len(text) == LENGTH and set(text) <= set(ALPHABET)


def find_session(connection: sqlite3.Connection, beginning: str) -> str:
    """The whole id of the one session whose id is `beginning` or starts with it.

    Raises UsageError when there is none, and when there are several, which are named.
    """
    wanted = pack_text(beginning.strip().lower())
    rows = connection.execute(
        "SELECT id FROM sessions WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id LIMIT ?2",
        (wanted, NAMED_AT_MOST + 1),
    ).fetchall()
    ids = [row["id"] for row in rows]
    if not wanted or not ids:
        raise no_session(beginning)
    if len(ids) > 1:
        named = ", ".join(ids[:NAMED_AT_MOST]) + (", and more" if len(ids) > NAMED_AT_MOST else "")
        raise UsageError(f"Several sessions begin with {beginning}: {named}.", "Give more of the id.")
    return str(ids[0])


def require_session(connection: sqlite3.Connection, session_id: str) -> None:
    """Raises UsageError when there is no session with exactly this id: it was deleted meanwhile."""
    row = connection.execute("SELECT 1 FROM sessions WHERE id = ?", (pack_text(session_id),)).fetchone()
    if row is None:
        raise no_session(session_id)


def touch_session(connection: sqlite3.Connection, session_id: str) -> None:
    """Marks it as updated now, which brings it to the top of the list."""
    connection.execute("UPDATE sessions SET updated = ? WHERE id = ?", (pack_time(), session_id))


def no_note(number: int) -> UsageError:
    """The error for a kept note that is not there."""
    return UsageError(f"The session has no note {number}.", "`longdesk sessions notes ID` lists them.")


def no_session(session_id: str) -> UsageError:
    """The error for an id that leads nowhere."""
    shown = session_id.encode("utf-8", "replace").decode()
    return UsageError(f"There is no session {shown}.", "`longdesk sessions list` shows them.")
