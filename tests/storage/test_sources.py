import json
import random
import sqlite3
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import sqlite_utils
from PIL import Image as Pillow
from reportlab.pdfgen.canvas import Canvas

from engine.corpus.formats.format import whole_file
from engine.corpus.formats.notebook import NOTEBOOK
from engine.corpus.formats.reader import redraw
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, KeptFile, Picture, Skipped, Source, digest_bytes, digest_text
from engine.errors import UsageError
from storage import schema
from storage.migrations import MIGRATIONS
from storage.store import Store
from tests.work import calls, instructions


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as store:
        yield store


@pytest.fixture
def session(store: Store) -> str:
    return store.sessions.create(title="t", model="m").id


def text_source(path: str, text: str, **fields: object) -> Source:
    plain = Source(path, "text", text, len(text), digest_text(text), encoding="utf-8")
    return replace(plain, **fields)  # type: ignore[arg-type]


def image_source(path: str, data: bytes) -> Source:
    plain = Source(path, "image", "", len(data), digest_bytes(data), notes=("n",))
    return replace(plain, kept_file=KeptFile("PNG", data), pictures=(Picture(1, 640, 480),))


def put(store: Store, session: str) -> list[Source]:
    return [one.source for one in store.sources.of(session)]


def n_contents(store: Store) -> int:
    with store._database.read() as connection:
        return int(connection.execute("SELECT count(*) FROM contents").fetchone()[0])


UGLY = [
    "",
    "\0",
    "a\0b" * 200,
    "\ud800",
    "\udcff\udc00 and \ud83d\ude00 apart, 😀 whole" * 50,
    "one\r\ntwo\rthree\n\x85\u2028",
    "\ufeffbom, \uffff, \U0010ffff, e\u0301, \x7f\x1b",
    "same line\n" * 100_000,
]


@pytest.mark.slow  # 2.1 s
def test_what_is_put_comes_back_exactly(store: Store, session: str) -> None:
    draw = random.Random(4)
    alphabets = ["ab\n", "\0\r\n", "\ud800\udfff😀é", "".join(map(chr, range(0x100, 0x3000, 7)))]
    texts = UGLY + ["".join(draw.choices(draw.choice(alphabets), k=draw.randrange(2000))) for _ in range(200)]
    texts.append("".join(chr(draw.randrange(1, 0xD800)) for _ in range(2 * 10**6)))  # more than 5 MB of UTF-8
    assert len(texts[-1].encode()) > 5 * 10**6
    sources = [
        text_source(f"{i}/\udcfe{'é' * (i % 3)}\n.txt", text, notes=("\ud800", "b") if i % 2 else (), encoding=None)
        for i, text in enumerate(texts)
    ]
    sources.append(text_source("p.pdf", "one\ftwo", kind="pdf", page_starts=(0, 4), n_bytes=10**12))
    store.sources.put(session, sources, turn_index=0)
    assert put(store, session) == sources
    assert [one.position for one in store.sources.of(session)] == list(range(len(sources)))


def test_images_come_back_with_their_bytes(store: Store, session: str) -> None:
    images = [image_source("a.png", bytes(range(256)) * 100), image_source("b.png", b""), image_source("c.png", b"\0")]
    both = replace(images[0], path="d.pdf", kind="pdf", text="page", page_starts=(0,))
    both = replace(both, kept_file=KeptFile("PDF", b"%PDF-", scalable=True))
    undrawn = replace(both, path="e.pdf", pictures=())  # kept for the day when a page of it is drawn
    all_of_them = [*images, both, undrawn, text_source("f", "text")]
    store.sources.put(session, all_of_them, turn_index=0)
    back = put(store, session)
    assert back == all_of_them
    assert [one.kept_file and one.kept_file.data for one in back] == [
        one.kept_file and one.kept_file.data for one in all_of_them
    ]
    links = store.sources.links(session)
    assert [link.has_file for link in links] == [True] * 5 + [False]
    assert links[0].pictures == (Picture(1, 640, 480),) and links[4].pictures == ()
    assert links[3].n_pages == 1


def test_pictures_within_a_text_come_back_at_their_places(store: Store, session: str) -> None:
    png = BytesIO()
    Pillow.new("RGB", (40, 20), "red").save(png, "PNG")
    output = {"output_type": "display_data", "data": {"image/png": b64encode(png.getvalue()).decode()}}
    cells = [{"cell_type": "code", "source": f"x{at}", "outputs": [output]} for at in range(3)]
    read = NOTEBOOK.read(whole_file("a.ipynb", json.dumps({"cells": cells}).encode(), Rules()))
    assert isinstance(read, Source) and len(read.pictures) == 3
    store.sources.put(session, [read, image_source("b.png", b"x")], turn_index=0)
    (back, image), links = put(store, session), store.sources.links(session)
    assert back == read and back.pictures[1].span == read.pictures[1].span is not None
    assert back.kept_file is not None and read.kept_file is not None and back.kept_file.data == read.kept_file.data
    assert (links[0].pictures, links[1].pictures) == (read.pictures, image.pictures)
    with store._database.read() as connection:
        packed = [row[0] for row in connection.execute("SELECT pictures FROM session_sources ORDER BY position")]
    assert packed[1] == "[[1, 640, 480]]" and len(json.loads(packed[0])[0]) == 5


def test_a_content_is_stored_once(store: Store, session: str) -> None:
    other = store.sessions.create(title="t", model="m").id
    novel = "Call me Ishmael. " * 1000
    store.sources.put(session, [text_source("a", novel), text_source("b", novel)], turn_index=0)
    store.sources.put(other, [text_source("c", novel), image_source("same bytes", novel.encode())], turn_index=0)
    assert n_contents(store) == 1
    assert put(store, other)[0].text == novel
    file = put(store, other)[1].kept_file
    assert file is not None and file.data == novel.encode()


def test_a_digest_that_lies_does_no_harm(store: Store, session: str) -> None:
    sources = [text_source("a", "one", digest="d"), text_source("b", "two", digest="d")]
    store.sources.put(session, sources, turn_index=0)
    assert put(store, session) == sources


def test_new_sources_go_to_the_end_and_the_rest_keeps_its_place(store: Store, session: str) -> None:
    a, b, c = (text_source(name, f"text of {name}" * 100) for name in "abc")
    changed = text_source("a", "another text", notes=("changed",))
    store.sources.put(session, [a, b], turn_index=0)
    store.sources.set_enabled(session, ["b"], enabled=False)
    store.sources.put(session, [c, b, changed], turn_index=2)
    got = [(one.source, one.position, one.turn_index, one.enabled) for one in store.sources.of(session)]
    assert got == [(changed, 0, 0, True), (b, 1, 0, False), (c, 2, 2, True)]
    assert n_contents(store) == 3, "the text that a had before is gone"
    assert [one.source for one in store.sources.of(session, enabled_only=True)] == [changed, c]
    assert [(one.path, one.digest, one.enabled, one.position) for one in store.sources.links(session)] == [
        ("a", changed.digest, True, 0),
        ("b", b.digest, False, 1),
        ("c", c.digest, True, 2),
    ]


def test_where_a_source_lies_is_kept_until_something_better_is_known(store: Store, session: str) -> None:
    store.sources.put(session, [text_source("a", "1", origin="/one/\udcfe/a"), text_source("b", "2")], turn_index=0)
    assert [one.origin for one in store.sources.links(session)] == ["/one/\udcfe/a", None]
    store.sources.put(session, [text_source("a", "3"), text_source("b", "4", origin="/two/b")], turn_index=0)
    assert [one.source.origin for one in store.sources.of(session)] == ["/one/\udcfe/a", "/two/b"]


def test_a_path_twice_in_one_put_is_linked_once(store: Store, session: str) -> None:
    store.sources.put(session, [text_source("a", "1"), text_source("a", "2"), text_source("b", "3")], turn_index=0)
    assert [(one.source.text, one.position) for one in store.sources.of(session)] == [("2", 0), ("3", 1)]
    assert n_contents(store) == 2


def test_enabling_names_what_is_not_there_and_changes_nothing(store: Store, session: str) -> None:
    store.sources.put(session, [text_source("a", "1"), text_source("b", "2")], turn_index=0)
    with pytest.raises(UsageError, match="has no source c"):
        store.sources.set_enabled(session, ["a", "c"], enabled=False)
    assert [one.enabled for one in store.sources.links(session)] == [True, True]
    store.sources.set_enabled(session, ["a", "b"], enabled=False)
    store.sources.set_enabled(session, ["b"], enabled=True)
    assert [one.enabled for one in store.sources.links(session)] == [False, True]


def test_skipped_values_are_kept(store: Store, session: str) -> None:
    skipped = [
        Skipped("big.bin", Cause.TOO_LARGE, "2.0 GiB, over the limit of 64.0 MiB a file", 2**31, True),
        Skipped("\udcff", Cause.UNREADABLE, "\udcff"),
        *(Skipped(str(cause), cause, "why") for cause in Cause),
    ]
    store.sources.put_skipped(session, skipped)
    assert store.sources.skipped(session) == tuple(skipped)
    again = Skipped("big.bin", Cause.BINARY, "no text", 7)
    store.sources.put_skipped(session, [again])
    assert store.sources.skipped(session) == (again, *skipped[1:])
    store.sources.put(session, [text_source("big.bin", "now read")], turn_index=0)
    assert store.sources.skipped(session) == tuple(skipped[1:])


def test_a_session_that_is_not_there(store: Store) -> None:
    for call in (
        lambda: store.sources.put("nothere", [text_source("a", "1")], turn_index=0),
        lambda: store.sources.put("nothere", [], turn_index=0),
        lambda: store.sources.put_skipped("nothere", []),
        lambda: store.sources.set_enabled("nothere", [], enabled=True),
    ):
        with pytest.raises(UsageError, match="There is no session nothere"):
            call()
    assert n_contents(store) == 0
    assert store.sources.of("nothere") == () == store.sources.links("nothere")


def many_sources(n_sources: int) -> list[Source]:
    texts = (f"def number_{n_sources}_{i}():\n    return {i}\n" * 40 for i in range(n_sources))
    return [text_source(f"src/{i}.py", text) for i, text in enumerate(texts)]


def test_thousands_of_sources_are_quick(store: Store, session: str) -> None:
    """Ten times as many take ten times as much."""

    def cost(n_sources: int) -> tuple[int, int]:
        session, sources, n_calls = store.sessions.create(title="t", model="m").id, many_sources(n_sources), 0

        def put_all() -> None:
            nonlocal n_calls
            n_calls = calls(lambda: store.sources.put(session, sources, turn_index=0))

        n_instructions = instructions(store, put_all)
        assert put(store, session) == sources
        return n_calls, n_instructions

    for few, many in zip(cost(500), cost(5_000), strict=True):
        assert many < 11 * few


def test_a_content_deleted_by_another_process_while_putting(
    store: Store, session: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = text_source("a", "x" * 1000)
    first = store.sessions.create(title="t", model="m").id
    store.sources.put(first, [source], turn_index=0)
    import storage.contents

    look, looked = storage.contents.known_digests, []

    def look_then_delete(*args: object) -> set[str]:
        found = look(*args)  # type: ignore[arg-type]
        if not looked:
            looked.append(True)
            with Store(tmp_path / "home") as other:
                other.sessions.delete(first)
        return found

    monkeypatch.setattr(storage.contents, "known_digests", look_then_delete)
    store.sources.put(session, [source], turn_index=0)
    assert put(store, session) == [source]


def test_how_the_last_sessions_begin(store: Store, session: str) -> None:
    a, b, c, odd = (text_source(path, path) for path in ("a", "b", "c", "\udcff"))
    digests = {one.path: one.digest for one in (a, b, c, odd)}
    assert store.sources.beginnings(digests) == ()
    store.sources.put(session, [odd, b, a], turn_index=0)
    other = store.sessions.create(title="other", model="m").id
    store.sources.put(other, [a, replace(b, digest="other"), c], turn_index=0)
    store.sessions.create(title="empty", model="m")
    assert store.sources.beginnings(digests) == (("a",), ("\udcff", "b", "a"))
    store.sources.set_enabled(session, ["\udcff"], enabled=False)
    store.sources.put(session, [c], turn_index=1)
    assert store.sources.beginnings(digests) == (("b", "a", "c"), ("a",))
    assert store.sources.beginnings({"b": b.digest}) == (("b",),), "no other can share more"
    assert store.sources.beginnings({}) == ()


# How the version wrote a source before files of sources were told from what is drawn of them.
OLD_LINK = """INSERT INTO session_sources (session_id, position, turn_index, path, kind, digest, n_bytes, encoding,
    text_content, image_content, image_width, image_height, image_format, notes, page_starts, origin, pictures)
    VALUES ('s', ?, 0, ?, ?, ?, ?, NULL, ?, ?, ?, ?, ?, '[]', ?, NULL, ?)"""


def old_database(home: Path, rows: Sequence[tuple[object, ...]], contents: Iterable[bytes]) -> None:
    """A home as the version before left it, with a session "s" of these sources."""
    home.mkdir()
    connection = sqlite3.connect(home / schema.FILE_NAME)
    MIGRATIONS.apply(sqlite_utils.Database(connection), stop_before="files_of_sources")
    connection.execute("INSERT INTO sessions VALUES ('s', 't', '2026', '2026', 'm', NULL, '2026-01-01', '{}')")
    for data in contents:
        connection.execute("INSERT INTO contents VALUES (?, 0, ?)", (digest_bytes(data), data))
    for position, row in enumerate(rows):
        connection.execute(OLD_LINK, (position, *row))
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 6")
    connection.commit()
    connection.close()


def test_a_database_of_the_version_before_is_read(tmp_path: Path) -> None:
    """Images, PDFs whose pages are drawn, and PDFs kept without: the same digests, pictures and bytes, drawn again."""
    png, scan, text = b"png", pdf_of(2), b"[page 1]\n\n[page 2]\n\n"
    of = digest_bytes
    old_database(
        tmp_path / "home",
        [
            ("a.txt", "text", of(text), 9, of(text), None, None, None, None, "[]", "[]"),
            ("a.png", "image", of(png), 9, None, of(png), 640, 480, "PNG", "[]", "[[1, 640, 480]]"),
            ("a.pdf", "pdf", "d1", 9, of(text), of(scan), 713, 1008, "PDF", "[0, 10]", "[[2, 713, 1008]]"),
            ("b.pdf", "pdf", of(text), 9, of(text), of(scan), 713, 1008, "PDF", "[0, 10]", "[]"),
            ("old.png", "image", of(png), 9, None, of(png), 640, 480, "PNG", "[]", "[]"),
        ],
        [png, scan, text],
    )
    with Store(tmp_path / "home") as store:
        plain, image, drawn, kept, older = (one.source for one in store.sources.of("s"))
        assert (plain.text, plain.kept_file, plain.digest) == (text.decode(), None, of(text))
        assert (image.kept_file, image.pictures) == (KeptFile("PNG", png), (Picture(1, 640, 480),))
        assert image.kept_file is not None and image.kept_file.data == png
        assert (drawn.digest, drawn.pictures, drawn.page_starts) == ("d1", (Picture(2, 713, 1008),), (0, 10))
        assert (kept.digest, kept.pictures) == (of(text), ())
        assert (older.kept_file, older.pictures) == (KeptFile("PNG", png), ())
        for source in (drawn, kept):
            assert source.kept_file is not None and source.kept_file.data == scan
            assert source.kept_file == KeptFile("PDF", scan, scalable=True)
            again = redraw(source, Rules(draw_pages="all"))
            assert isinstance(again, Source) and [picture.number for picture in again.pictures] == [1, 2]
        assert [link.has_file for link in store.sources.links("s")] == [False, True, True, True, True]
        store.sources.put("s", [kept], turn_index=0)
        assert n_contents(store) == 3 and put(store, "s")[3] == kept


def pdf_of(n_pages: int) -> bytes:
    """A PDF with a box on every page."""
    file = BytesIO()
    paper = Canvas(file, pagesize=(595, 842))
    for _ in range(n_pages):
        paper.rect(100, 100, 300, 300, fill=1)
        paper.showPage()
    paper.save()
    return file.getvalue()
