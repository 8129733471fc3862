"""Exports: all of a session goes to another home and comes back to the byte; what a stranger wrote breaks nothing."""

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest
from PIL import Image

from app.archive import Archive
from app.checking_again import verify_session
from app.desk import Desk
from app.exchange.document import export_document
from app.exchange.page import session_page
from app.export import session_markdown
from app.images.jpegs import draw
from app.question import Answered, Question
from app.settings import Settings
from engine.answer.citations import Citation, PageBox, Status
from engine.backend import Cause, Corpus, Skipped
from engine.corpus.rules import Rules
from engine.errors import InputRefused, LongdeskError
from storage.records import SessionRecord, Turn
from storage.store import Store
from tests.app.answers.generated import TRICKS
from tests.engine.corpus.formats.test_embedded import b64, image
from tests.engine.corpus.test_page_images import scan
from tests.fake_backend import FakeBackend, sent
from tests.pdfs import written

NewDesk = Callable[..., Desk]
PLACED = re.compile(r"(left:[\d.]+%;top:[\d.]+%;width:[\d.]+%;height:[\d.]+%)?")  # a box on an image; numbers alone
UGLY = "half \udce4, \0, \x1b[31m, \u202e, \N{GRINNING FACE}"
SCRIPT = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> [a](javascript:alert(1)) ![b](https://203.0.113.7/b.png)"
)


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[NewDesk]:
    desks = []

    def build(home: str, **how: Any) -> Desk:
        desks.append(Desk(Settings(home=tmp_path / home), backend=FakeBackend(**how)))
        return desks[-1]

    yield build
    for desk in desks:
        desk.close()


def ask(desk: Desk, text: str, **more: Any) -> Turn:
    *_, last = desk.ask(Question(text=text, **more), cancel=Flag())
    assert isinstance(last, Answered)
    return last.turn


def tiff(n_frames: int) -> bytes:
    file = BytesIO()
    frames = [Image.new("RGB", (30, 20), color) for color in ("red", "green", "blue")[:n_frames]]
    frames[0].save(file, "TIFF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def corpus_of(desk: Desk, folder: Path) -> Corpus:
    """A file of each kind."""
    folder.mkdir()
    (folder / "core.py").write_bytes(b"def core():\r\n\treturn 42\r\n\r\n# the end\r\n" * 9)
    (folder / "latin.txt").write_bytes("Ein h\u00fcbscher Satz.\n".encode("latin-1") * 30)
    (folder / "photo.png").write_bytes(image("blue", (64, 48)))
    (folder / "pages.tiff").write_bytes(tiff(3))
    (folder / "words.pdf").write_bytes(written("The rent is 900 euros.", "It is due on the first."))
    (folder / "scan.pdf").write_bytes(scan(2))
    cell = {"cell_type": "code", "source": "plot()", "outputs": [
        {"output_type": "display_data", "data": {"image/png": b64(image("red"))}, "metadata": {}}
    ], "metadata": {}, "execution_count": 1}  # fmt: skip
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
    (folder / "study.ipynb").write_text(json.dumps(notebook))
    (folder / "empty.txt").write_bytes(b"")
    return desk.read([folder], Rules(draw_pages="bare"))


def store_of(desk: Desk) -> Store:
    return desk._store


def rich(desk: Desk, folder: Path) -> str:
    """A session with all that there can be in one."""
    session = ask(desk, "What is it?", corpus=corpus_of(desk, folder)).session_id
    link = next(link for link in desk.session(session).links if link.path.endswith("core.py"))
    found = ask(desk, UGLY, session=session, only=frozenset([link.path]))
    citation = Citation(
        statement=(0, 2), status=Status.VERIFIED, quote="return 42", places=9, held=True, logprob=-0.25, path=link.path,
        source_digest=link.digest, bytes=(17, 26), text_bytes=(14, 23), lines=(2, 2), box=(0.1, 0.25, 1 / 3, 1.0),
        boxes=(PageBox(1, (0.1, 0.25, 1 / 3, 1.0)), PageBox(2, (0.0, 0.0, 1.0, 0.5))),
    )  # fmt: skip
    bare = Citation(statement=(3, 8), status=Status.MISSING)
    store_of(desk).turns.cite(found.id, [citation, bare], {"tokens_sent": 7, "settings": {"seed": None}, "name": UGLY})
    ask(desk, "Another", session=session, beside=1)
    desk.send(session, [link.path], enabled=False)
    store_of(desk).sources.put_skipped(session, [Skipped(f"{UGLY}.bin", Cause.BINARY, "binary", 12, True)])
    desk.rename(session, SCRIPT)
    desk.keep_draft(session, "not for others")
    return session


def test_export_import_export_gives_equal_bytes(new_desk: NewDesk, tmp_path: Path) -> None:
    desk, other = new_desk("one"), new_desk("two")
    session = rich(desk, tmp_path / "corpus")
    exported = desk.export(session)
    assert b"not for others" not in exported and str(tmp_path).encode() not in exported
    imported = other.take_in(exported)
    assert (imported.is_new, imported.has_its_id, imported.session.id) == (True, True, session)
    assert other.export(session) == exported
    before, after = desk.record(session), other.record(session)
    assert [at.source for at in after.sources] == [at.source for at in before.sources]
    kept = [[at.source.kept_file and at.source.kept_file.data for at in each.sources] for each in (before, after)]
    assert kept[0] == kept[1] and sum(data is not None for data in kept[0]) >= 4
    assert [turn.index for turn in after.turns] == [0, 2] and [turn.index for turn in after.others] == [1]
    assert after.others[0].citations == before.others[0].citations
    assert other.search("another")[0].current and other.draft(session) == ""
    assert (
        other.take_in(exported).sentence == f"Session {session} is here already, with all of it. Nothing was changed."
    )
    assert desk.take_in(exported).is_new is False, "nor where it came from"
    assert [summary.id for summary in other.sessions()] == [session]


def test_an_imported_session_goes_on_as_the_one_it_was(new_desk: NewDesk, tmp_path: Path) -> None:
    desk, other = new_desk("one"), new_desk("two")
    session = rich(desk, tmp_path / "corpus")
    other.take_in(desk.export(session))
    for each in (desk, other):
        each.choose_branch(session, 1)
        ask(each, "And then?", session=session)
    asked = [each.backend().asked[-1] for each in (desk, other)]  # type: ignore[attr-defined]
    assert sent(asked[0]) == sent(asked[1]) != []
    before = [turn.reply_ids for turn in desk.turns(session)[:-1]]
    assert [turn.reply_ids for turn in other.turns(session)[:-1]] == before != []


def test_one_that_has_gone_on_here_stays_and_the_other_gets_an_id_of_its_own(new_desk: NewDesk) -> None:
    desk = new_desk("one")
    session = ask(desk, "a").session_id
    exported = desk.export(session)
    ask(desk, "b", session=session)
    imported = desk.take_in(exported)
    assert imported.is_new and not imported.has_its_id and imported.session.id != session
    assert "Another session here has the id" in imported.sentence
    again = desk.export(imported.session.id)
    assert again.replace(imported.session.id.encode(), session.encode()) == exported
    assert [turn.question for turn in desk.turns(session)] == ["a", "b"]


def test_without_sources_it_can_be_read_and_is_not_imported(new_desk: NewDesk, tmp_path: Path) -> None:
    desk = new_desk("one")
    session = ask(desk, "a", corpus=corpus_of(desk, tmp_path / "corpus")).session_id
    exported = desk.export(session, with_sources=False)
    assert len(exported) < 20_000 < len(desk.export(session)) and json.loads(exported)["turns"][0]["question"] == "a"
    with pytest.raises(InputRefused, match="Export it without --no-sources"):
        desk.take_in(exported)


def test_a_source_that_lies_about_its_digest_is_known_by_what_it_holds(new_desk: NewDesk, tmp_path: Path) -> None:
    desk, other = new_desk("one"), new_desk("two")
    session = rich(desk, tmp_path / "corpus")
    document = json.loads(desk.export(session))
    digests = {source["path"]: source["digest"] for source in document["sources"]}
    for source in document["sources"]:
        source["digest"] = "0" * 32
        for picture in source["pictures"]:
            picture["digest"] = picture["digest"] and "1" * 32
    document["turns"][1]["citations"][0]["source_digest"] = "0" * 32
    other.take_in(json.dumps(document).encode())
    record = other.record(session)
    now = {at.source.path: at.source.digest for at in record.sources}
    assert "0" * 32 not in now.values() and len(set(now.values())) == len(now)
    texts = [path for path in now if path.endswith((".py", ".txt", "words.pdf"))]
    assert len(texts) == 3 and all(now[path] == digests[path] for path in texts)
    again = other.export(session)
    assert new_desk("three").take_in(again).session.id == session
    assert new_desk("three").export(session) == again, "and from then on it stays the same"


BAD: list[bytes] = [
    b"", b"\xff\xfe", b"{", b"[]", b"null", b"1", b'"x"', b"{}", b'{"longdesk_export": "1"}', b'{"longdesk_export": 2}',
    b"[" * 100_000, b'{"a":' * 100_000, b'{"longdesk_export": 1, "x": NaN}', b'{"longdesk_export": true}',
    b'{"longdesk_export": ' + b"9" * 6_000 + b"}", b'{"longdesk_export": 1, "turns": [{}]}',
    b'{"longdesk_export": 1e400}', b"PK\x03\x04",
]  # fmt: skip


@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
def test_what_is_no_export_is_refused_in_a_sentence(new_desk: NewDesk, data: bytes) -> None:
    desk = new_desk("one")
    with pytest.raises(InputRefused) as refused:
        desk.take_in(data)
    assert len(str(refused.value)) < 400 and "\n" not in str(refused.value)
    assert desk.sessions() == ()


ODD = [1, 1.5, -1, True, "x", [], [[]], [["a", "b", "c"]], {}, {"tokens": "x"}, {"tokens": 1.5}, {"tokens": -1}, [None]]


@pytest.mark.slow  # 3.5 s
@pytest.mark.parametrize("of", ["session", "turn"])
def test_settings_that_nobody_wrote_are_refused_or_go_on(new_desk: NewDesk, tmp_path: Path, of: str) -> None:
    """Whatever a setting is: a sentence, or a session that can be shown, asked and exported."""
    desk, other = new_desk("one"), new_desk("two")
    document = json.loads(desk.export(rich(desk, tmp_path / "corpus")))
    names = {*document["settings"], *document["turns"][0]["settings"], "passes", "lora", "chat_template", "date_set"}
    for name in sorted(names):
        for odd in ODD:
            spoiled = copy.deepcopy(document)
            (spoiled if of == "session" else spoiled["turns"][0])["settings"][name] = odd
            try:
                session = other.take_in(json.dumps(spoiled).encode()).session.id
            except InputRefused as refused:
                assert str(refused).isprintable()
                continue
            assert other.session(session).session.settings == spoiled["settings"], name
            other.settings_of(other.session(session).session)
            other.export(session)
            other.delete_session(session)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lora", [["a\0b.gguf", 1.0, ""]]),
        ("lora", [["", 1.0, ""]]),
        ("lora", [["a.gguf", 1e308, ""]]),
        ("lora", [["a.gguf", 1e400, ""]]),
        ("lora", [["a.gguf", "1", ""]]),
        ("lora", [["a.gguf", 1.0]]),
        ("lora", [["a.gguf", 1.0, None]]),
        ("lora", {"a.gguf": 1}),
        ("chat_template", {"name": "two\nlines", "source": "x", "model": ""}),
        ("chat_template", {"name": "\x1b[31mred", "source": "x", "model": ""}),
    ],
)
def test_settings_that_would_make_a_dead_session_are_refused(new_desk: NewDesk, name: str, value: object) -> None:
    desk, other = new_desk("one"), new_desk("two")
    document = json.loads(desk.export(ask(desk, "a").session_id))
    document["settings"] |= {name: value}
    with pytest.raises(InputRefused, match=name):
        other.take_in(json.dumps(document).encode().replace(b"Infinity", b"1e400"))
    assert other.sessions() == ()


def test_an_adapter_that_was_exported_comes_back(new_desk: NewDesk) -> None:
    desk, other = new_desk("one"), new_desk("two")
    document = json.loads(desk.export(ask(desk, "a").session_id))
    kept = [["/models/tone.gguf", 0.5, "a.gguf"], ["/models/other.gguf", -2, ""]]
    document["settings"]["lora"] = kept
    assert other.take_in(json.dumps(document).encode()).session.settings["lora"] == kept


def test_a_newer_export_and_a_huge_one(new_desk: NewDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = new_desk("one")
    with pytest.raises(InputRefused, match="newer Longdesk.*Update"):
        desk.take_in(b'{"longdesk_export": 2}')
    with pytest.raises(InputRefused, match="more values"):
        desk.take_in(b"[" + b"[]," * 17_000_000 + b"[]]")
    monkeypatch.setattr("app.exchange.reading.MOST_BYTES", 100)
    with pytest.raises(InputRefused, match="over the limit"):
        desk.take_in(b" " * 101)


JUNK: list[Any] = [
    None, True, -1, 0, 7, 2**40, 2**70, 1.5, 1e308, "", "x", "\ud800", "../../etc", SCRIPT, [], [1], [[1, 2]], {},
    {"a": 1}, ["a"], "2026-01-31T12:00:00Z", [None],
]  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a document with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


@pytest.mark.slow  # some seconds
def test_whatever_is_changed_in_an_export_it_is_taken_whole_or_refused(new_desk: NewDesk, tmp_path: Path) -> None:
    desk, other = new_desk("one"), new_desk("two")
    session = rich(desk, tmp_path / "corpus")
    exported, dice = desk.export(session), random.Random(14)
    n_taken = 0
    for _ in range(600):
        document = json.loads(exported)
        for _ in range(dice.choice((1, 1, 2))):
            holder, key = dice.choice(list(places(document)))
            if dice.random() < 0.2 and isinstance(holder, dict):
                del holder[key]
            else:
                holder[key] = dice.choice(JUNK)
        n_before = len(other.sessions())
        try:
            imported = other.take_in(json.dumps(document).encode())
        except InputRefused as refusal:
            assert "\n" not in str(refusal) and len(str(refusal)) < 400
            assert len(other.sessions()) == n_before
            continue
        n_taken += 1
        look_at(other, imported.session.id)
        other.delete_session(imported.session.id)
    assert 30 < n_taken < 570
    with store_of(other)._database.read() as connection:
        for table in ("turns", "session_sources", "contents", "passages"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0, table


def look_at(desk: Desk, session: str) -> None:
    """All that the doors do with a session that was not asked anything."""
    record = desk.record(session)
    session_markdown(record)
    session_page(record, draw=draw)
    verify_session(record, lambda model: desk.backend())
    desk.session(session)
    desk.search("another")
    with suppress(LongdeskError):  # a question about a source that it does not have
        desk.preview(session)
    exported = desk.export(session)
    imported = desk.take_in(exported)
    again = desk.export(imported.session.id)
    assert not imported.is_new and again == exported


class _Reader(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def elements(page: bytes) -> list[tuple[str, dict[str, str | None]]]:
    return _Reader(page).found


def is_inert(page: bytes) -> bool:
    found = elements(page)
    tags = {tag for tag, _ in found}
    if tags & {"script", "iframe", "object", "embed", "form", "base", "button", "svg", "link", "video", "audio"}:
        return False
    for _, attributes in found:
        if any(name.startswith("on") or name in ("srcset", "background") for name in attributes):
            return False
        if not PLACED.fullmatch(attributes.get("style") or ""):
            return False
        if not (attributes.get("src") or "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,"):
            return False
        if not (attributes.get("href") or "#").lower().startswith(("#", "https://", "http://", "mailto:")):
            return False
    return True


def test_the_page_holds_all_of_it_and_does_nothing(new_desk: NewDesk, tmp_path: Path) -> None:
    desk = new_desk("one", answer=lambda question: f"{SCRIPT} returns 42")
    session = rich(desk, tmp_path / "corpus")
    page = session_page(desk.record(session), draw=draw)
    assert is_inert(page), [each for each in elements(page) if each[0] in ("script", "img")]
    shown = "".join(_Reader(page).texts)
    for words in (
        "What is it?",
        "Another",
        "core.py:2",
        "verified, in 9 places",
        "left out",
        "Other branches",
        "Receipt",
    ):
        assert words in shown, words
    assert "<mark>return 42</mark>" in page.decode() and "default-src" in page.decode()
    images = [attributes for tag, attributes in elements(page) if tag == "img"]
    assert len(images) == 1 + 3 + 2 + 1 and all(each["alt"] for each in images)
    assert b"@import" not in page and b"url(" not in page
    small = session_page(desk.record(session))
    assert not [tag for tag, _ in elements(small) if tag == "img"]


def test_a_citation_of_an_image_shows_the_part_that_is_meant(new_desk: NewDesk, tmp_path: Path) -> None:
    desk = new_desk("one", answer=lambda question: "The shed is red. Nobody knows.")
    turn = ask(desk, "What?", corpus=corpus_of(desk, tmp_path / "corpus"))
    link = next(link for link in desk.session(turn.session_id).links if link.path.endswith("photo.png"))
    meant = Citation(
        statement=(0, 16), status=Status.VERIFIED, path=link.path, source_digest=link.digest, image=1,
        box=(0.5, -0.1, 0.75, 9.0),
    )  # fmt: skip
    store_of(desk).turns.cite(turn.id, [meant, Citation(statement=(17, 30), status=Status.MISSING)])
    page = session_page(desk.record(turn.session_id), draw=draw)
    assert is_inert(page)
    styles = [attributes["style"] for _, attributes in elements(page) if "style" in attributes]
    assert styles == ["left:50.00%;top:0.00%;width:25.00%;height:100.00%"]
    cited = page.decode().partition('<ol class="citations">')[2]
    assert cited.count("<img") == 1 and "<blockquote" not in cited, "words of the answer's own are no source's"
    assert "No words found that show this" in cited


def test_the_words_are_in_sight_without_scrolling(new_desk: NewDesk, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("".join(f"line {n}\n" for n in range(1, 90)) + "word " * 400 + "the end.\n")
    desk = new_desk("one", answer=lambda question: "It ends. Then it ends.")
    turn = ask(desk, "What?", corpus=desk.read([tmp_path / "long.txt"], Rules()))
    link = desk.session(turn.session_id).links[0]
    text = (tmp_path / "long.txt").read_text()
    for quote in ("line 80\n", "the end."):
        at = text.index(quote)
        found = Citation(
            statement=(0, 8), status=Status.VERIFIED, quote=quote, places=1, path=link.path,
            source_digest=link.digest, bytes=(at, at + len(quote)), lines=(80, 80),
        )  # fmt: skip
        store_of(desk).turns.cite(turn.id, [found])
        page = session_page(desk.record(turn.session_id)).decode()
        before = page.partition("<blockquote")[2].partition("<mark>")[0]
        assert before.count("\n") <= 6 and len(before) < 400


@pytest.mark.parametrize("trick", TRICKS)
def test_whatever_a_model_writes_the_page_does_nothing(new_desk: NewDesk, trick: str) -> None:
    desk = new_desk("one", answer=lambda question: trick)
    turn = ask(desk, trick)
    desk.rename(turn.session_id, trick.strip() or "x")
    assert is_inert(session_page(desk.record(turn.session_id)))


def test_the_keys_of_show_stand_in_an_export(new_desk: NewDesk, tmp_path: Path) -> None:
    from app.cli.output.session import session_json

    desk = new_desk("one")
    record: SessionRecord = desk.record(rich(desk, tmp_path / "corpus"))
    shown, exported = session_json(record, max_tiles=9), export_document(record, max_tiles=9)
    assert shown.keys() <= exported.keys()
    for name in ("sources", "skipped", "turns"):
        for theirs, ours in zip(shown[name], exported[name], strict=True):
            assert not [(key, value, ours.get(key)) for key, value in theirs.items() if ours.get(key) != value], name


def test_an_archive_does_it_too(new_desk: NewDesk, tmp_path: Path) -> None:
    desk = new_desk("one")
    session = ask(desk, "a").session_id
    archive = Archive(Settings(home=tmp_path / "three"))
    assert archive.take_in(desk.export(session)).sentence == f"Imported as session {session}."
    assert archive.export(session) == desk.export(session)
    archive.close()
