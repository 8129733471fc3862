"""Turns: a question, the answer while it comes in, and what it cost. Who may write is left to `leases`.

A running turn has stop None. Its text lies in pieces, so that appending costs what is new; finishing joins them.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from engine.answer.citations import Citation
from engine.errors import SessionBusy, UsageError
from storage.branches import Parents, branch_to, choose_leaf, newest_leaf, read_leaf, read_parents
from storage.columns import pack_ids, pack_json, pack_text, pack_time
from storage.identity import find_session, touch_session
from storage.leases import Lease, beat, is_held, refuse_if_held
from storage.records import Outcome, Thought, Turn
from storage.schema import Database, StorageFull
from storage.search import index_passage
from storage.turn_rows import add_pieces, drop_pieces, read_pieces, read_turn, read_turns, turn_of

INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A turn that is to be begun; see Turns.begin."""

    question: str
    vocabulary: str | None = None
    settings: Mapping[str, Any]
    beside: int | None = None


class Turns:
    """The turns of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self,
        lease: Lease,
        *,
        question: str,
        vocabulary: str | None = None,
        settings: Mapping[str, Any] | None = None,
        beside: int | None = None,
    ) -> Turn:
        """Adds a running turn at the end of the current branch; one that was left unfinished becomes interrupted.

        beside: the index of a turn in whose place it stands, on a branch of its own. Its branch is the current one from
        now on. Raises SessionBusy when the lease was lost, UsageError when the session or that turn is not there.
        """
        asked = Asked(question=question, vocabulary=vocabulary, settings=settings or {}, beside=beside)
        with self._database.write() as connection:
            return begin_turn(connection, lease, asked)

    def resume(
        self,
        lease: Lease,
        turn_id: int,
        *,
        reply_ids: Sequence[int],
        vocabulary: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Turn:
        """Lets a turn that has ended run again, so that its reply goes on; what it says so far stays.

        reply_ids: of its text so far, in this vocabulary. What was found for its answer goes: it was of an answer that
        was not whole. Raises as begin does.
        """
        with self._database.write() as connection:
            beat(connection, lease.session_id, lease.token)
            _interrupt_all(connection, lease.session_id)
            row = connection.execute("SELECT * FROM turns WHERE id = ?", (turn_id,)).fetchone()
            before = turn_of(connection, row, turn_id)
            connection.execute(
                """UPDATE turns SET stop = NULL, lease = ?, written = ?, error = NULL, citations = NULL, receipt = NULL,
                vocabulary = ?, settings = ? WHERE id = ?""",
                (lease.token, pack_time(), vocabulary, pack_json(dict(settings or before.settings)), turn_id),
            )
            # Its last character may be the sign for half of one, whose other half comes now: it is held back.
            kept = before.text.removesuffix("\N{REPLACEMENT CHARACTER}")
            add_pieces(connection, turn_id, kept, reply_ids)
            parents = read_parents(connection, lease.session_id)
            choose_leaf(connection, lease.session_id, newest_leaf(parents, before.index))
            touch_session(connection, lease.session_id)
            return read_turn(connection, turn_id)

    def choose(self, session_id: str, index: int) -> None:
        """Makes the newest branch through this turn the session's current one. Raises UsageError without such a turn,
        SessionBusy while somebody answers in the session."""
        with self._database.write() as connection:
            whole = find_session(connection, session_id)
            parents = read_parents(connection, whole)
            _parent_of(parents, index)
            refuse_if_held(connection, whole)
            choose_leaf(connection, whole, newest_leaf(parents, index))

    def append_text(
        self, turn_id: int, text_so_far: str, ids_so_far: Sequence[int] = (), thought: Thought | None = None
    ) -> None:
        """Keeps the answer as far as it has come; only what is new since the last call is written, and thought.

        text_so_far begins with what was given before; ids_so_far, all that were sampled for it, do too. Renews the
        lease's heartbeat. Raises SessionBusy when the turn is not running any more: another process took the session
        over, or it was deleted.
        """
        with self._database.write() as connection:
            self._sign_of_life(connection, turn_id)
            add_pieces(connection, turn_id, text_so_far, ids_so_far)
            if thought is not None:
                cells = (pack_json(thought.to_json()), turn_id)
                connection.execute("UPDATE turns SET thought = ? WHERE id = ?", cells)

    def set_progress(self, turn_id: int, *, done: int, total: int, reused: int) -> None:
        """Keeps how far the prompt was read, in tokens. Renews the heartbeat and raises as append_text does."""
        with self._database.write() as connection:
            self._sign_of_life(connection, turn_id)
            connection.execute(
                "UPDATE turns SET prefill_done = ?, prompt_tokens = ?, reused_tokens = ? WHERE id = ?",
                (done, total, reused, turn_id),
            )

    def finish(self, turn_id: int, outcome: Outcome) -> Turn:
        """Writes how it ended, over whatever was there. Counters that are None keep what set_progress wrote.

        Raises UsageError when the session was deleted; ValueError for an unknown stop.
        """
        if outcome.stop not in ("end", "length", "cancelled", "error"):
            raise ValueError(f"stop is {outcome.stop!r}")
        with self._database.write() as connection:
            cursor = connection.execute(_FINISH, (*_cells(outcome), turn_id))
            row = connection.execute("SELECT * FROM turns WHERE id = ?", (turn_id,)).fetchone()
            if not cursor.rowcount:
                raise UsageError("The session was deleted while it was being answered.", "Ask in a new one.")
            drop_pieces(connection, turn_id)
            index_passage(connection, row["session_id"], row["position"], "text", outcome.text)
            touch_session(connection, row["session_id"])
            return read_turn(connection, turn_id)

    def cite(
        self, turn_id: int, citations: Sequence[Citation] | None = None, receipt: Mapping[str, Any] | None = None
    ) -> Turn:
        """Keeps what was found for an answer, in place of what was kept before; None leaves what is there.

        Raises UsageError as get does.
        """
        found = None if citations is None else [citation.to_json() for citation in citations]
        with self._database.write() as connection:
            row = connection.execute(
                """UPDATE turns SET citations = coalesce(?, citations), receipt = coalesce(?, receipt) WHERE id = ?
                RETURNING *""",
                (pack_json(found), pack_json(receipt and dict(receipt)), turn_id),
            ).fetchone()
            return turn_of(connection, row, turn_id)

    def get(self, turn_id: int) -> Turn:
        """One turn, also while it runs: the page reads the text so far here. Raises UsageError without such a turn."""
        heal(self._database)
        with self._database.read() as connection:
            row = connection.execute("SELECT * FROM turns WHERE id = ?", (turn_id,)).fetchone()
            return turn_of(connection, row, turn_id)

    def of(self, session_id: str, *, before: int | None = None) -> tuple[Turn, ...]:
        """The turns of a session's current branch in order; before: those that lead to this turn, on whichever branch.

        Raises UsageError without such a session or turn.
        """
        heal(self._database)
        with self._database.read() as connection:
            whole = find_session(connection, session_id)
            parents = read_parents(connection, whole)
            leaf = read_leaf(connection, whole) if before is None else _parent_of(parents, before)
            return read_turns(connection, whole, parents, branch_to(parents, leaf))

    def all(self, session_id: str) -> tuple[Turn, ...]:
        """The turns of all branches of a session, in the order in which they were begun. Raises as of does."""
        heal(self._database)
        with self._database.read() as connection:
            whole = find_session(connection, session_id)
            parents = read_parents(connection, whole)
            return read_turns(connection, whole, parents, tuple(parents))

    def one(self, session_id: str, index: int) -> Turn:
        """The turn of this index. Raises as of does."""
        turns = self.all(session_id)
        _parent_of({turn.index: turn.parent for turn in turns}, index)
        return turns[index]

    def next_index(self, session_id: str) -> int:
        """The index that the session's next turn will have."""
        with self._database.read() as connection:
            return len(read_parents(connection, session_id))

    def _sign_of_life(self, connection: sqlite3.Connection, turn_id: int) -> None:
        row = connection.execute(
            "UPDATE turns SET written = ? WHERE id = ? AND stop IS NULL RETURNING session_id, lease",
            (pack_time(), turn_id),
        ).fetchone()
        if row is None:
            raise SessionBusy("This turn is not running any more: it was taken over or deleted.", "Ask again.")
        beat(connection, row["session_id"], row["lease"])


def begin_turn(connection: sqlite3.Connection, lease: Lease, asked: Asked) -> Turn:
    """As Turns.begin, within a transaction."""
    at, session_id = pack_time(), lease.session_id
    beat(connection, session_id, lease.token)
    _interrupt_all(connection, session_id)
    parents = read_parents(connection, session_id)
    index = len(parents)
    parent = read_leaf(connection, session_id) if asked.beside is None else _parent_of(parents, asked.beside)
    cursor = connection.execute(
        """INSERT INTO turns
        (session_id, position, parent, lease, created, written, vocabulary, settings, question)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            session_id,
            index,
            parent,
            lease.token,
            at,
            at,
            asked.vocabulary,
            pack_json(dict(asked.settings)),
            pack_text(asked.question),
        ),
    )
    choose_leaf(connection, session_id, index)
    index_passage(connection, session_id, index, "question", asked.question)
    touch_session(connection, session_id)
    return read_turn(connection, cursor.lastrowid)


def heal(database: Database) -> int:
    """Marks as interrupted every running turn whose holder is dead, and returns how many. Their text so far is kept."""
    with database.read() as connection:
        if not _orphans(connection):
            return 0
    with suppress(StorageFull), database.write() as connection:  # on a full disk, what is there can still be read
        orphans = _orphans(connection)
        for row in orphans:
            _interrupt(connection, row)
        return len(orphans)
    return 0


def _parent_of(parents: Parents, index: int) -> int | None:
    if index not in parents:
        raise UsageError(
            f"The session has no question {index + 1}.", "`longdesk sessions show` lists its questions and answers."
        )
    return parents[index]


_RUNNING = "SELECT turns.id, turns.session_id, turns.position FROM turns WHERE stop IS NULL"


def _orphans(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    rows = connection.execute(
        """SELECT turns.id, turns.session_id, turns.position, token, pid, started, host, heartbeat FROM turns
        LEFT JOIN leases ON leases.session_id = turns.session_id AND leases.token = turns.lease WHERE stop IS NULL"""
    ).fetchall()
    return [row for row in rows if row["pid"] is None or not is_held(connection, row)]


def _interrupt_all(connection: sqlite3.Connection, session_id: str) -> None:
    for row in connection.execute(f"{_RUNNING} AND session_id = ?", (session_id,)).fetchall():
        _interrupt(connection, row)


def _interrupt(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    text, ids = read_pieces(connection, row["id"])
    connection.execute(
        "UPDATE turns SET stop = ?, text = ?, reply_ids = ? WHERE id = ?",
        (INTERRUPTED, pack_text(text), ids, row["id"]),
    )
    drop_pieces(connection, row["id"])
    index_passage(connection, row["session_id"], row["position"], "text", text)


_FINISH = """UPDATE turns SET written = ?, stop = ?, text = ?, reply_ids = ?, error = ?,
    prompt_tokens = coalesce(?, prompt_tokens), reused_tokens = coalesce(?, reused_tokens), reply_tokens = ?,
    read_s = ?, load_s = ?, prefill_s = ?, ttft_s = ?, thought = ? WHERE id = ?"""


def _cells(outcome: Outcome) -> tuple[Any, ...]:
    return (
        pack_time(),
        str(outcome.stop),
        pack_text(outcome.text),
        pack_ids(outcome.reply_ids),
        pack_text(outcome.error),
        outcome.prompt_tokens,
        outcome.reused_tokens,
        outcome.reply_tokens,
        outcome.read_s,
        outcome.load_s,
        outcome.prefill_s,
        outcome.ttft_s,
        pack_json(outcome.thought and outcome.thought.to_json()),
    )
