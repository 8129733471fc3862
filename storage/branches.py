"""Branches: which turn follows which, and which of them a session shows and goes on from.

A turn's position says when it was begun, its parent which turn it follows. Asking again, or another question in a
turn's place, gives that turn's parent another child; nothing is taken away. The current branch is the way from the
session's leaf up to a first question.
"""

import sqlite3
from collections.abc import Mapping, Sequence

from storage.columns import pack_text

Parents = Mapping[int, int | None]  # of each position, in the order of positions


def read_parents(connection: sqlite3.Connection, session_id: str) -> dict[int, int | None]:
    """Of every turn of a session the position that it follows; None for a first question."""
    rows = connection.execute(
        "SELECT position, parent FROM turns WHERE session_id = ? ORDER BY position", (pack_text(session_id),)
    )
    return {row["position"]: row["parent"] for row in rows}


def read_leaf(connection: sqlite3.Connection, session_id: str) -> int | None:
    """The last turn of the current branch; None without turns."""
    row = connection.execute(
        """SELECT coalesce(leaf, (SELECT max(position) FROM turns WHERE session_id = sessions.id)) AS leaf
        FROM sessions WHERE id = ?""",
        (pack_text(session_id),),
    ).fetchone()
    return None if row is None else row["leaf"]


def choose_leaf(connection: sqlite3.Connection, session_id: str, leaf: int) -> None:
    """Makes the branch that ends with this turn the current one."""
    connection.execute("UPDATE sessions SET leaf = ? WHERE id = ?", (leaf, pack_text(session_id)))


def branch_to(parents: Parents, leaf: int | None) -> tuple[int, ...]:
    """The positions from a first question to this turn."""
    way = []
    while leaf is not None:
        way.append(leaf)
        leaf = parents[leaf]
    return tuple(reversed(way))


def newest_leaf(parents: Parents, position: int) -> int:
    """The end of the newest branch through this turn."""
    children = _children(parents)
    while position in children:
        position = children[position][-1]
    return position


def alternatives(parents: Parents) -> dict[int, tuple[int, ...]]:
    """Of every turn those that stand in its place, in order, itself among them."""
    children = {parent: tuple(each) for parent, each in _children(parents).items()}  # one for all that stand there
    return {position: children[parent] for position, parent in parents.items()}


def _children(parents: Parents) -> dict[int | None, Sequence[int]]:
    children: dict[int | None, list[int]] = {}
    for position, parent in parents.items():
        children.setdefault(parent, []).append(position)
    return dict(children)
