"""The tables, as the migrations that made them. Opening the file, and when to migrate, is left to `schema`.

A migration that has been released is never edited; the next one is added below it and `schema.VERSION` raised.
"""

import json
import re
import sqlite3
from pathlib import Path

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("longdesk")


def apply_migrations(connection: sqlite3.Connection) -> None:
    """Applies what is pending, each as a savepoint inside the caller's transaction, so that all or nothing stays."""
    MIGRATIONS.apply(Database(connection, recursive_triggers=False, execute_plugins=False))


def files_dropped(connection: sqlite3.Connection, home: Path) -> tuple[Path, ...]:
    """The files that migrating leaves to nobody: KV states from when each was found by its session."""
    if not connection.execute("SELECT 1 FROM pragma_table_info('snapshots') WHERE name = 'ids'").fetchone():
        return ()
    paths = [row["path"] for row in connection.execute("SELECT path FROM snapshots")]
    # as they were written then, whatever `columns` does now
    return tuple(home / (at.decode("utf-8", "surrogatepass") if isinstance(at, bytes) else at) for at in paths)


# Times are ISO 8601 UTC with microseconds, so that text order is time order. Text that is no valid Unicode lies in a
# TEXT column as a BLOB (see columns.pack_text). Big columns stand last: SQLite reads a row's pages from the left.
TABLES = (
    """CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        created TEXT NOT NULL,
        updated TEXT NOT NULL,
        model TEXT NOT NULL,
        system TEXT,
        frozen_date TEXT NOT NULL,
        settings TEXT NOT NULL
    )""",
    "CREATE INDEX sessions_updated ON sessions(updated)",
    """CREATE TABLE leases (
        session_id TEXT PRIMARY KEY REFERENCES sessions(id) ON DELETE CASCADE,
        token TEXT NOT NULL,
        pid INTEGER NOT NULL,
        started REAL NOT NULL,
        host TEXT NOT NULL,
        heartbeat REAL NOT NULL
    )""",
    """CREATE TABLE turns (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        lease TEXT NOT NULL,
        stop TEXT CHECK (stop IN ('end', 'length', 'cancelled', 'error', 'interrupted')),
        created TEXT NOT NULL,
        written TEXT NOT NULL,
        vocabulary TEXT,
        settings TEXT NOT NULL,
        prefill_done INTEGER,
        prompt_tokens INTEGER,
        reused_tokens INTEGER,
        reply_tokens INTEGER,
        read_s REAL,
        load_s REAL,
        prefill_s REAL,
        ttft_s REAL,
        error TEXT,
        question TEXT NOT NULL,
        citations TEXT,
        receipt TEXT,
        reply_ids BLOB,
        text TEXT,
        UNIQUE (session_id, position)
    )""",
    "CREATE INDEX turns_running ON turns(session_id) WHERE stop IS NULL",
    # The text of a turn that is not finished, as it came in: appending writes the new piece only.
    """CREATE TABLE pieces (
        turn_id INTEGER NOT NULL REFERENCES turns(id) ON DELETE CASCADE,
        until INTEGER NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (turn_id, until)
    )""",
    """CREATE TABLE contents (
        digest TEXT PRIMARY KEY,
        deflated INTEGER NOT NULL,
        data BLOB NOT NULL
    )""",
    """CREATE TABLE session_sources (
        session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
        path TEXT NOT NULL,
        position INTEGER NOT NULL,
        turn_index INTEGER NOT NULL,
        enabled INTEGER NOT NULL DEFAULT 1,
        kind TEXT NOT NULL,
        digest TEXT NOT NULL,
        n_bytes INTEGER NOT NULL,
        encoding TEXT,
        text_content TEXT REFERENCES contents(digest),
        image_content TEXT REFERENCES contents(digest),
        image_width INTEGER,
        image_height INTEGER,
        image_format TEXT,
        notes TEXT NOT NULL,
        page_starts TEXT NOT NULL,
        PRIMARY KEY (session_id, path)
    )""",
    "CREATE INDEX session_sources_position ON session_sources(session_id, position)",
    "CREATE INDEX session_sources_text ON session_sources(text_content)",
    "CREATE INDEX session_sources_image ON session_sources(image_content)",
    """CREATE TABLE session_skipped (
        session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
        path TEXT NOT NULL,
        cause TEXT NOT NULL,
        reason TEXT NOT NULL,
        n_bytes INTEGER,
        can_include INTEGER NOT NULL,
        PRIMARY KEY (session_id, path)
    )""",
    # A KV state stands apart from the sessions that use it: today one each, later shared by what begins alike.
    """CREATE TABLE snapshots (
        id INTEGER PRIMARY KEY,
        path TEXT NOT NULL UNIQUE,
        model TEXT NOT NULL,
        kv_k TEXT NOT NULL,
        kv_v TEXT NOT NULL,
        n_tokens INTEGER NOT NULL,
        n_bytes INTEGER NOT NULL,
        created TEXT NOT NULL,
        last_used TEXT NOT NULL,
        ids BLOB NOT NULL
    )""",
    """CREATE TABLE session_snapshots (
        session_id TEXT PRIMARY KEY REFERENCES sessions(id) ON DELETE CASCADE,
        snapshot_id INTEGER NOT NULL REFERENCES snapshots(id) ON DELETE CASCADE
    )""",
    "CREATE INDEX session_snapshots_snapshot ON session_snapshots(snapshot_id)",
    # What search sees, folded; part is title, question or text; turn_index is -1 for the title.
    """CREATE TABLE passages (
        id INTEGER PRIMARY KEY,
        session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
        turn_index INTEGER NOT NULL,
        part TEXT NOT NULL,
        folded TEXT NOT NULL,
        UNIQUE (session_id, turn_index, part)
    )""",
    """CREATE VIRTUAL TABLE passage_index USING fts5(
        folded, content = 'passages', content_rowid = 'id', tokenize = 'trigram case_sensitive 1'
    )""",
    """CREATE TRIGGER passages_added AFTER INSERT ON passages BEGIN
        INSERT INTO passage_index (rowid, folded) VALUES (new.id, new.folded);
    END""",
    """CREATE TRIGGER passages_removed AFTER DELETE ON passages BEGIN
        INSERT INTO passage_index (passage_index, rowid, folded) VALUES ('delete', old.id, old.folded);
    END""",
    """CREATE TRIGGER passages_changed AFTER UPDATE ON passages BEGIN
        INSERT INTO passage_index (passage_index, rowid, folded) VALUES ('delete', old.id, old.folded);
        INSERT INTO passage_index (rowid, folded) VALUES (new.id, new.folded);
    END""",
)


@MIGRATIONS()
def first_tables(db: Database) -> None:
    for statement in TABLES:
        db.conn.execute(statement)


# A KV state is found by what it holds (see storage.snapshots): one digest a block of tokens, in order. A block takes
# megabytes on disk and some fifty bytes here. The index finds who begins alike; from there on the key is enough.
STATES_BY_CONTENT = (
    "DROP TABLE session_snapshots",
    "DROP TABLE snapshots",
    """CREATE TABLE snapshots (
        id INTEGER PRIMARY KEY,
        path TEXT NOT NULL UNIQUE,
        binding TEXT NOT NULL,
        n_tokens INTEGER NOT NULL,
        n_bytes INTEGER NOT NULL,
        created TEXT NOT NULL,
        last_used TEXT NOT NULL
    )""",
    """CREATE TABLE snapshot_blocks (
        snapshot_id INTEGER NOT NULL REFERENCES snapshots(id) ON DELETE CASCADE,
        at INTEGER NOT NULL,
        digest BLOB NOT NULL,
        PRIMARY KEY (snapshot_id, at)
    ) WITHOUT ROWID""",
    "CREATE INDEX snapshot_blocks_first ON snapshot_blocks(digest) WHERE at = 0",
    """CREATE TABLE session_snapshots (
        session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
        snapshot_id INTEGER NOT NULL REFERENCES snapshots(id) ON DELETE CASCADE,
        PRIMARY KEY (session_id, snapshot_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX session_snapshots_snapshot ON session_snapshots(snapshot_id)",
)


@MIGRATIONS()
def states_by_content(db: Database) -> None:
    for statement in STATES_BY_CONTENT:
        db.conn.execute(statement)


@MIGRATIONS()
def origins_of_sources(db: Database) -> None:
    """Where a source lies on this machine: NULL for uploads, and for all that was put before."""
    db.conn.execute("ALTER TABLE session_sources ADD COLUMN origin TEXT")


@MIGRATIONS()
def names_of_models(db: Database) -> None:
    """What to call the model of a KV state; '' where it was not said."""
    db.conn.execute("ALTER TABLE snapshots ADD COLUMN model_name TEXT NOT NULL DEFAULT ''")


@MIGRATIONS()
def pictures_of_sources(db: Database) -> None:
    """What of a source is shown to a model that sees: number, width and height of each picture."""
    db.conn.execute("ALTER TABLE session_sources ADD COLUMN pictures TEXT NOT NULL DEFAULT '[]'")


_DRAWN = re.compile(r"Pages? [\d, -]+ (is sent as an image|are sent as images)\.")


@MIGRATIONS()
def notes_of_drawn_pages(db: Database) -> None:
    """Which pages are sent as images is up to the model: it is said where that is known, and not kept any more."""
    told = "SELECT session_id, path, notes FROM session_sources WHERE notes LIKE '%sent as%'"
    rows = db.conn.execute(told).fetchall()
    for session_id, path, notes in rows:
        kept = [note for note in json.loads(notes) if not _DRAWN.fullmatch(note)]
        cells = (json.dumps(kept), session_id, path)
        db.conn.execute("UPDATE session_sources SET notes = ? WHERE session_id = ? AND path = ?", cells)


@MIGRATIONS()
def files_of_sources(db: Database) -> None:
    """What was called the image of a source is its file, kept to be drawn from: of a PDF, too, and without any picture.

    How large it is in pixels stands in its pictures; the columns of that stay with what was put in them.
    """
    db.conn.execute("ALTER TABLE session_sources RENAME COLUMN image_content TO file_content")
    db.conn.execute("ALTER TABLE session_sources RENAME COLUMN image_format TO file_format")
    db.conn.execute("ALTER TABLE session_sources ADD COLUMN file_scalable INTEGER")
    db.conn.execute("UPDATE session_sources SET file_scalable = file_format = 'PDF' WHERE file_content IS NOT NULL")
    db.conn.execute("DROP INDEX session_sources_image")
    db.conn.execute("CREATE INDEX session_sources_file ON session_sources(file_content)")


@MIGRATIONS()
def readers_of_sources(db: Database) -> None:
    """The library that a source's text was read with; NULL for all that was put before."""
    db.conn.execute("ALTER TABLE session_sources ADD COLUMN reader TEXT")


@MIGRATIONS()
def folders_of_sources(db: Database) -> None:
    """The folder that a source was given with; NULL for all that was put before, so that its prompt stays as it is."""
    db.conn.execute("ALTER TABLE session_sources ADD COLUMN folder TEXT")


@MIGRATIONS()
def places_of_pictures(db: Database) -> None:
    """A picture may have two more cells: where in the text it stands, and a digest of its own; what was put before has
    neither. This keeps a Longdesk that knows three cells from reading five."""


@MIGRATIONS()
def branches_and_drafts(db: Database) -> None:
    """Which turn a turn follows, and the last turn of the branch that a session shows: NULL where there is one branch.

    A session's draft is what was typed and not asked yet. The ids of a turn that runs lie in pieces, as its text does.
    """
    db.conn.execute("ALTER TABLE turns ADD COLUMN parent INTEGER CHECK (parent >= 0 AND parent < position)")
    db.conn.execute("UPDATE turns SET parent = position - 1 WHERE position > 0")
    db.conn.execute("ALTER TABLE sessions ADD COLUMN leaf INTEGER")
    db.conn.execute("ALTER TABLE sessions ADD COLUMN draft TEXT")
    turn, until = "turn_id INTEGER NOT NULL REFERENCES turns(id) ON DELETE CASCADE", "until INTEGER NOT NULL"
    ids = "ids BLOB NOT NULL, PRIMARY KEY (turn_id, until)"
    db.conn.execute(f"CREATE TABLE id_pieces ({turn}, {until}, {ids})")


@MIGRATIONS()
def notes_of_passes(db: Database) -> None:
    """What passes over a corpus found, by what they were asked, and how a session's corpus was sliced."""
    session = "session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE"
    db.conn.execute(f"CREATE TABLE notes (key TEXT PRIMARY KEY, {session}, created TEXT NOT NULL, note TEXT NOT NULL)")
    db.conn.execute("CREATE INDEX notes_session ON notes(session_id)")
    db.conn.execute("""CREATE TABLE session_slices (
        session_id TEXT PRIMARY KEY REFERENCES sessions(id) ON DELETE CASCADE,
        slices TEXT NOT NULL
    )""")


@MIGRATIONS()
def kept_notes(db: Database) -> None:
    """Answers, or pieces of them, that were kept as notes of their session; turn_index: of the turn that it is of."""
    db.conn.execute("""CREATE TABLE kept_notes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        turn_index INTEGER,
        title TEXT NOT NULL,
        created TEXT NOT NULL,
        citations TEXT,
        text TEXT NOT NULL,
        UNIQUE (session_id, number)
    )""")


@MIGRATIONS()
def uses_of_notes(db: Database) -> None:
    """When a note was used last, and its size: those not used for longest go first where a budget has no room."""
    db.conn.execute("ALTER TABLE notes ADD COLUMN used TEXT NOT NULL DEFAULT ''")
    db.conn.execute("ALTER TABLE notes ADD COLUMN n_bytes INTEGER NOT NULL DEFAULT 0")
    db.conn.execute("UPDATE notes SET used = created, n_bytes = length(CAST(note AS BLOB))")
    db.conn.execute("CREATE INDEX notes_used ON notes(used, n_bytes, key)")


@MIGRATIONS()
def leases_of_summaries(db: Database) -> None:
    """Who summarizes a session, which keeps nobody from asking in it."""
    db.conn.execute("""CREATE TABLE summary_leases (
        session_id TEXT PRIMARY KEY REFERENCES sessions(id) ON DELETE CASCADE, token TEXT NOT NULL,
        pid INTEGER NOT NULL, started REAL NOT NULL, host TEXT NOT NULL, heartbeat REAL NOT NULL
    )""")


@MIGRATIONS()
def pieces_of_contents(db: Database) -> None:
    """Contents that are too large for one transaction: `deflated` has a flag for them, and `data` says which pieces."""
    columns = "put TEXT NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (put, number)"
    db.conn.execute(f"CREATE TABLE content_pieces ({columns})")


@MIGRATIONS()
def thoughts_of_turns(db: Database) -> None:
    """What a model thought before its answer, as JSON; NULL where nothing was, and for all turns before."""
    db.conn.execute("ALTER TABLE turns ADD COLUMN thought TEXT")


@MIGRATIONS()
def dates_of_states(db: Database) -> None:
    """The date that a KV state's prompt shows; of what is older that of the sessions that used it."""
    db.conn.execute("ALTER TABLE snapshots ADD COLUMN date TEXT NOT NULL DEFAULT ''")
    db.conn.execute("""UPDATE snapshots SET date = frozen_date FROM session_snapshots JOIN sessions
        ON sessions.id = session_id WHERE snapshot_id = snapshots.id""")
