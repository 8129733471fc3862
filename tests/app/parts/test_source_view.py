"""A source beside the chat, without a browser: what is opened, what of it is sent, what is done about what is gone."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import state
from app.parts import source_view
from app.parts.source_pages import placed, touched, within
from app.parts.source_view import data_of
from engine.answer.citations import Citation, PageBox, Status
from engine.corpus.collect import collect
from engine.corpus.source import Source
from storage.records import Outcome
from storage.store import Store
from tests.patience import PATIENCE_S
from tests.pdfs import written

MAIN = Path(__file__).parents[3] / "app" / "main.py"
CODE = "".join(f"def row_{n}():\n    return {n}\n\n" for n in range(400))


@pytest.fixture
def store(tmp_path: Path, starter_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LONGDESK_MODEL", str(starter_gguf))
    st.cache_resource.clear()
    with Store(tmp_path / "home") as opened:
        yield opened
    state.house().close()
    st.cache_resource.clear()


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Source]:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "rows.py").write_text(CODE)
    (folder / "lease.pdf").write_bytes(written("Page one.\nThe rent is 701.", "Page two.\nThe rent is 702."))
    (folder / "wide.txt").write_text("x" * 3_000_000)
    (folder / "turned.txt").write_text("a\u202eb\x1b[31m\n")
    return {each.path: each for each in collect([folder]).sources}


def cite(source: Source, quote: str, **place: Any) -> Citation:
    start = source.text.index(quote)
    line = source.text[:start].count("\n") + 1
    found = Citation(
        statement=(0, 9),
        status=Status.VERIFIED,
        quote=quote,
        places=1,
        path=source.path,
        source_digest=source.digest,
        bytes=(start, start + len(quote.encode())),
        lines=(line, line + quote.count("\n")),
    )
    return replace(found, **place)


def keep(store: Store, sources: dict[str, Source], *citations: Citation) -> str:
    session = store.sessions.create(title="rows", model="m").id
    store.sources.put(session, list(sources.values()), turn_index=0)
    with store.leases.acquire(session) as lease:
        turn = store.turns.begin(lease, question="Which row?")
        store.turns.finish(turn.id, Outcome(text="So it is. And so.", stop="end"))
        store.turns.cite(turn.id, citations)
    return session


def sent(store: Store, session: str, path: str, number: int | None = None, **how: Any) -> dict[str, Any]:
    """What the browser is told; it is JSON."""
    overview = store.overview(session)
    cited = (overview.turns[0].id, number) if number else None
    desk = source_view.Beside(session, overview.links, overview.turns, (), None)
    data = data_of(desk, state.Opened(session=session, path=path, cited=cited, **how))
    json.dumps(data)
    return data


def lit(data: dict[str, Any]) -> str:
    return "".join(
        run[1] for row in data["rows"] for run in row[3] if isinstance(run, list) and "lit" in run[0].split()
    )


def test_the_cited_words_are_lit(store: Store, sources: dict[str, Source]) -> None:
    session = keep(store, sources, cite(sources["rows.py"], "def row_300():\n    return 300"))
    data = sent(store, session, "rows.py", 1)
    assert lit(data) == "def row_300():    return 300"
    assert [row[0] for row in data["rows"] if "lit" in row[4]] == [901, 902]
    assert data["where"] == "lines 901–902" and data["total"] == 1_200 and len(data["rows"]) <= 260
    assert any("k" in run[0].split() for row in data["rows"] for run in row[3] if isinstance(run, list))


def test_how_a_quote_came_about_stands_beside_its_place(store: Store, sources: dict[str, Source]) -> None:
    found = cite(sources["rows.py"], "return 7", held=True, logprob=-0.417, places=11)
    data = sent(store, keep(store, sources, found), "rows.py", 1)
    assert data["standing"] == "verified, in 11 places"
    assert "no other words" in data["facts"] and "-0.42" in data["facts"]


def test_a_source_that_was_changed_says_so_and_lights_the_words_where_they_stand_now(
    store: Store, sources: dict[str, Source]
) -> None:
    before = cite(sources["rows.py"], "def row_3():")
    session = keep(store, sources, before, cite(sources["rows.py"], "def row_4():"))
    changed = sources["rows.py"].changed(text="# new\n" + CODE.replace("row_4(", "row_four("), digest="f" * 32)
    store.sources.put(session, [changed], turn_index=0)
    data = sent(store, session, "rows.py", 1)
    assert lit(data) == "def row_3():" and "changed since" in data["notices"][0]
    assert lit(sent(store, session, "rows.py", 2)) == ""


def test_a_source_that_is_gone(store: Store, sources: dict[str, Source]) -> None:
    session = keep(store, sources, replace(cite(sources["rows.py"], "def row_3():"), path="gone.py"))
    data = sent(store, session, "gone.py", 1)
    assert data["mode"] == "none" and data["notices"] == ["This source is not in the session any more."]


def test_altered_words_come_with_the_difference(store: Store, sources: dict[str, Source]) -> None:
    stands = cite(sources["rows.py"], "row_30():\n    return 30")
    altered = replace(stands, quote="row_30(): return 31", status=Status.ALTERED)
    data = sent(store, keep(store, sources, altered), "rows.py", 1)
    assert [tuple(piece) for piece in data["pieces"]][1:3] == [("new", "31"), ("gone", "30")]
    assert lit(data) == "row_30():    return 30", "what stands there"


def test_a_passage_over_two_pages_is_boxed_on_both(store: Store, sources: dict[str, Source]) -> None:
    first, second = (0.1, 0.8, 0.3, 0.95), (0.1, 0.05, 0.3, 0.1)
    cited = cite(sources["lease.pdf"], "The rent is 702.", page=1, box=first)
    cited = replace(cited, boxes=(PageBox(1, first), PageBox(2, second)))
    session = keep(store, sources, cited)
    data = sent(store, session, "lease.pdf", 1)
    assert data["page"]["number"] == 1 and data["boxes"] == [first] and data["where"] == "pages 1–2"
    assert sent(store, session, "lease.pdf", 1, page=2)["boxes"] == [second]


def test_a_page_with_its_box_and_as_text(store: Store, sources: dict[str, Source]) -> None:
    cited = cite(sources["lease.pdf"], "The rent is 702.", page=2, box=(0.1, 0.2, 0.3, 0.25))
    session = keep(store, sources, cited)
    data = sent(store, session, "lease.pdf", 1)
    assert data["mode"] == "page" and data["page"] == {"number": 2, "of": 2} and data["boxes"] == [cited.box]
    assert data["image"]["address"].startswith("data:image/jpeg;base64,") and data["where"] == "page 2"
    assert sent(store, session, "lease.pdf", 1, page=1)["boxes"] == []
    text = sent(store, session, "lease.pdf", 1, mode="text")
    assert lit(text) == "The rent is 702." and [words for _, words in text["parts"]] == ["page 1", "page 2"]
    assert sent(store, session, "lease.pdf", words="rent")["found"] == {"words": "rent", "n": 2, "at": 0}


def test_a_pdf_whose_file_is_gone_is_shown_as_text(store: Store, sources: dict[str, Source], tmp_path: Path) -> None:
    session = keep(store, sources, cite(sources["lease.pdf"], "The rent is 702.", page=2))
    (tmp_path / "corpus" / "lease.pdf").unlink()
    data = sent(store, session, "lease.pdf", 1)
    assert data["mode"] == "text" and lit(data) == "The rent is 702." and "cannot be drawn" in data["notices"][0]


def test_little_is_sent_of_a_large_source(store: Store, sources: dict[str, Source]) -> None:
    data = sent(store, keep(store, sources), "wide.txt")
    assert len(json.dumps(data)) < 120_000 and data["before"] is None and data["after"] > 0
    following = sent(store, keep(store, sources), "wide.txt", start=data["after"])
    assert following["rows"][0][2] == data["after"] and following["before"] is not None
    assert len(sent(store, keep(store, sources), "wide.txt", start=1 << 40)["rows"]) >= 1


def test_what_acts_is_marked(store: Store, sources: dict[str, Source]) -> None:
    rows = sent(store, keep(store, sources), "turned.txt")["rows"]
    assert ["acting", "\u202e"] in rows[0][3] and ["acting", "\x1b"] in rows[0][3]


def test_the_way_to_other_citations(store: Store, sources: dict[str, Source]) -> None:
    first, second = cite(sources["rows.py"], "def row_3():"), cite(sources["lease.pdf"], "The rent is 702.", page=2)
    bare = Citation(statement=(10, 17), status=Status.MISSING)
    session = keep(store, sources, first, replace(bare, statement=(3, 9)), replace(second, statement=(10, 17)))
    data = sent(store, session, "rows.py", 1)
    assert data["previous"] is None and data["next"] == (3, "lease.pdf") and data["of"] == 3


@pytest.fixture
def draw(store: Store) -> Callable[[str], AppTest]:
    def draw_one(session: str) -> AppTest:
        page = AppTest.from_file(str(MAIN), default_timeout=PATIENCE_S)
        page.query_params["session"] = session
        page.run()
        assert not page.exception
        return page

    return draw_one


def test_a_name_in_the_tree_opens_the_source_and_the_box_stays_checked(
    store: Store, sources: dict[str, Source], draw: Callable[[str], AppTest]
) -> None:
    few = {path: each for path, each in sources.items() if path != "wide.txt"}
    session = keep(store, few, cite(sources["rows.py"], "def row_3():"))
    page = draw(session)
    next(button for button in page.button if button.label == "Open rows.py").click().run()
    assert not page.exception
    assert page.session_state["opened"].path == "rows.py"
    assert all(link.enabled for link in store.overview(session).links)


def test_boxes_on_tiles() -> None:
    place = placed(1000, 640, (3, 2))
    assert place == pytest.approx((0.0, 0.02, 1.0, 0.98))
    assert placed(100, 400, (1, 2)) == pytest.approx((0.25, 0.0, 0.75, 1.0))
    box = within((0.64, 0.09, 0.9, 0.38), place)
    assert touched(box, (3, 2)) == [1, 2]
    assert touched((0, 0, 1, 1), (2, 2)) == [0, 1, 2, 3]
    assert touched((0.5, 0.5, 0.6, 0.6), (2, 2)) == [3]
