"""Finding sessions by what was said in them: titles, questions and answers, while the user types.

Text is folded (no case, no accents) and indexed in threes of characters (FTS5 trigram), so that every piece of a word
finds it: "desk" finds Longdesk, in any script. A term of one or two characters is looked for in the folded text itself.
"""

import sqlite3
import unicodedata
from collections import defaultdict
from functools import reduce

from storage.branches import branch_to, read_leaf, read_parents
from storage.columns import unpack_text
from storage.records import Hit, Span
from storage.schema import Database

TITLE_INDEX = -1  # turn_index of the passage that is the session's title
SNIPPET_BEFORE = 40
SNIPPET_LENGTH = 160
FOLD_STEP = 512
MAX_TERMS = 16
MATCHED_AT_MOST = 64  # characters of a term that go through the index: 20,000 in one term took 4 s


class Search:
    """The search over a database. Indexing is done by who writes: `index_passage`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, text: str, *, limit: int = 50) -> tuple[Hit, ...]:
        """Sessions in which every word of `text` occurs, wherever; newest update first.

        Any text may be given; its first 16 words count. An answer is found once it is finished or interrupted.
        """
        terms = list(dict.fromkeys(fold(text).split()))[:MAX_TERMS]
        if not terms:
            return ()
        with self._database.read() as connection:
            found = [_passages_with(connection, term) for term in terms]
            sessions = reduce(set.intersection, ({place[0] for place in places} for places in found))
            newest = connection.execute("SELECT id, title, updated FROM sessions ORDER BY updated DESC, rowid DESC")
            rows = [row for row in newest if row["id"] in sessions][:limit]
            best = _best_passages(found)
            return tuple(_hit(connection, row, best[row["id"]], terms) for row in rows)


def index_passage(connection: sqlite3.Connection, session_id: str, turn_index: int, part: str, text: str) -> None:
    """Makes a title, question or answer findable, in place of what it was before."""
    connection.execute(
        """INSERT INTO passages (session_id, turn_index, part, folded) VALUES (?, ?, ?, ?)
        ON CONFLICT (session_id, turn_index, part) DO UPDATE SET folded = excluded.folded""",
        (session_id, turn_index, part, fold(text)),
    )


def fold(text: str) -> str:
    """Lowercase without accents; NULs and lone surrogates, which SQLite's own text functions stop at, become spaces."""
    if text.isascii():
        return text.lower().replace("\0", " ")
    spread = unicodedata.normalize("NFKD", text.casefold())
    # By the distinct characters: a million letters of Greek fold in 0.13 s, one by one in 0.42 s.
    replaced = {ord(character): _plain(character) for character in set(spread)}
    return spread.translate({code: plain for code, plain in replaced.items() if plain != chr(code)}).casefold()


def _plain(character: str) -> str:
    if character == "\0" or "\ud800" <= character <= "\udfff":
        return " "
    return "" if unicodedata.combining(character) else character


Place = tuple[str, int, str]  # session_id, turn_index, part


def _passages_with(connection: sqlite3.Connection, term: str) -> set[Place]:
    if len(term) >= 3:
        quoted = '"' + term[:MATCHED_AT_MOST].replace('"', '""') + '"'
        still_to_check = term if len(term) > MATCHED_AT_MOST else None
        rows = connection.execute(
            """SELECT session_id, turn_index, part FROM passages
            WHERE id IN (SELECT rowid FROM passage_index WHERE passage_index MATCH ?1)
            AND (?2 IS NULL OR instr(folded, ?2))""",
            (quoted, still_to_check),
        )
    else:
        rows = connection.execute("SELECT session_id, turn_index, part FROM passages WHERE instr(folded, ?)", (term,))
    return {(row["session_id"], row["turn_index"], row["part"]) for row in rows}


def _best_passages(found: list[set[Place]]) -> dict[str, Place]:
    """For each session the passage with most terms in it; among equals the latest, a question before its answer."""
    n_terms: defaultdict[Place, int] = defaultdict(int)
    for places in found:
        for place in places:
            n_terms[place] += 1
    best: dict[str, Place] = {}
    for place in sorted(n_terms, key=lambda place: (n_terms[place], place[1], place[2] == "question")):
        best[place[0]] = place
    return best


def _hit(connection: sqlite3.Connection, session: sqlite3.Row, place: Place, terms: list[str]) -> Hit:
    _, turn_index, part = place
    title = unpack_text(session["title"])
    text = title
    if turn_index != TITLE_INDEX:
        column = "question" if part == "question" else "text"
        (cell,) = connection.execute(
            f"SELECT {column} FROM turns WHERE session_id = ? AND position = ?", (session["id"], turn_index)
        ).fetchone()
        text = unpack_text(cell)
    snippet, matches = excerpt(text, terms)
    branch = branch_to(read_parents(connection, session["id"]), read_leaf(connection, session["id"]))
    return Hit(
        session_id=session["id"],
        title=title,
        updated=f"{session['updated'][:19]}Z",
        turn_index=None if turn_index == TITLE_INDEX else turn_index,
        part=part,
        snippet=snippet,
        matches=matches,
        current=turn_index == TITLE_INDEX or turn_index in branch,
    )


def excerpt(text: str, terms: list[str]) -> tuple[str, tuple[Span, ...]]:
    """A line of text around the first of the folded terms, and where the terms stand in it."""
    folded = fold(text)
    starts = [start for start in (folded.find(term) for term in terms) if start >= 0]
    first = _unfolded(text, min(starts, default=0))
    begin = 0 if first <= SNIPPET_BEFORE else text.rfind(" ", 0, first - SNIPPET_BEFORE // 2) + 1
    begin = max(begin, first - SNIPPET_BEFORE)
    line = " ".join(text[begin : begin + SNIPPET_LENGTH].split())
    folded_line = fold(line)
    spans = set()
    for term in terms:
        start = folded_line.find(term)
        if start >= 0:
            spans.add((_unfolded(line, start), _unfolded(line, start + len(term))))
    return line, tuple(sorted(spans))


def _unfolded(text: str, offset: int) -> int:
    """Where the character at `offset` of the folded text stands in the text: folding can make it longer or shorter."""
    if text.isascii():
        return offset
    position = 0
    for width in (FOLD_STEP, 1):
        while position < len(text) and (n_folded := len(fold(text[position : position + width]))) <= offset:
            if width == 1 and n_folded == 0 and offset == 0:
                break
            offset -= n_folded
            position += width
    return min(position, len(text))
