"""The folder of a summary: pages whose links lead to the lines, nothing foreign overwritten, stale pages marked."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

from app.passes.summary.as_markdown import pages_as_markdown
from app.passes.summary.document import Page, PartRecord, Reading, Section, Statement, Summary, unpublished
from app.passes.summary.folder import begin, open_folder, write
from engine.answer.citations import Citation, Status
from engine.errors import LongdeskError, UsageError

_QUOTE = "def add(item):"


def citation(path: str = "a b/cart.py") -> Citation:
    return Citation(
        statement=(0, 1), status=Status.VERIFIED, quote=_QUOTE, path=path, bytes=(0, len(_QUOTE)), lines=(1, 2)
    )


def made(*texts: str, evidence: str = "", keys: tuple[str, ...] = ("cart",)) -> Summary:
    sources = {"a b/cart.py": "d1"}
    parts = tuple(
        PartRecord(
            key=key, label="a b/cart.py", name="Cart", description="Holds <b>items</b>.", sources=sources, n_tokens=10,
            n_passes=1,
        )
        for key in keys
    )  # fmt: skip
    statements = tuple(Statement(text, citation(), keys[0]) for text in texts or ("It adds.",))
    unshown = Statement("Nobody knows `add()` ![x](http://evil/x.png) <script>alert(1)</script>", None, keys[0])
    names = ("purpose", "map", "risks", *(f"parts/{key}" for key in keys))
    pages = [
        Page(name=name, title=name.title(), sections=(Section("", (*statements, unshown)),), sources=sources)
        for name in names
    ]
    pages.append(Page(name="glossary", title="Glossary", sections=(Section("", (unshown,)),), sources=sources))
    reading = Reading(
        n_sources=1, n_once=1, n_tokens=10, n_passes=1, n_kept=0, n_calls=7, n_whole=7, read_tokens=90, reused_tokens=5,
        seconds=2.0,
    )  # fmt: skip
    return Summary(
        title="shop", model="Fake", created="2026-01-01T00:00:00+00:00", session="s1", room=100, purpose="It sells.",
        pages=tuple(unpublished(page, looked=not evidence) for page in pages), parts=parts, reading=reading,
        evidence=evidence, skipped=(("logo.bin", "not text"),),
    )  # fmt: skip


@pytest.fixture
def code(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "code" / "a b" / "cart.py"
    path.parent.mkdir(parents=True)
    path.write_text(f"{_QUOTE}\n    return item\n")
    return {"a b/cart.py": str(path)}


def written_to(out: Path, summary: Summary, code: dict[str, str], **options: dict[str, tuple[str, ...]]) -> None:
    write(begin(open_folder(out), "s1", ["../code"]), summary, code, **options)


def links(text: str) -> list[str]:
    return re.findall(r"(?<!\\)\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("here", [".", "code", "/"])
def test_every_link_leads_somewhere(
    tmp_path: Path, code: dict[str, str], here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / here)
    out = tmp_path / "out"
    written_to(out, made(), code)
    n_to_lines = 0
    for page in out.rglob("*.md"):
        for link in links(page.read_text()):
            path, _, anchor = link.partition("#")
            assert (page.parent / unquote(path)).is_file(), (page, link)
            if anchor:
                n_to_lines += 1
                assert anchor == "L1-L2" and unquote(path).endswith("code/a b/cart.py")
    assert n_to_lines >= 4
    assert "a b/cart.py#L1-L2" in (out / "risks.md").read_text().replace("\\", "")


def test_an_address_in_a_line_is_no_link() -> None:
    """Neither where Markdown makes links of addresses nor where it does not: the words are the same."""
    said = "See https://example.org/a_b or WWW.example.org, ftp://x.y of src/www.py."
    text = pages_as_markdown(made(said), {})["purpose.md"]
    [line] = [line for line in text.splitlines() if "example" in line]
    assert not re.search(r"https?:|ftp:|www\.", line, re.IGNORECASE)
    assert MarkdownIt().render(line.rstrip()) == f"<ul>\n<li>{said}</li>\n</ul>\n"


def test_a_page_without_words_is_not_published_but_named(tmp_path: Path, code: dict[str, str]) -> None:
    out = tmp_path / "out"
    written_to(out, made(), code)
    assert not (out / "glossary.md").exists()
    assert (
        "Glossary: No words of the sources were found that show its only statement." in (out / "index.md").read_text()
    )
    assert "*(no words were found that show this)*" in (out / "purpose.md").read_text()
    state = json.loads((out / "summary.json").read_text())
    assert [page["why_not"] != "" for page in state["pages"]] == [False] * 4 + [True]


def test_where_evidence_is_off_pages_are_published_and_say_so(tmp_path: Path, code: dict[str, str]) -> None:
    out = tmp_path / "out"
    written_to(out, made(evidence="The model is too small."), code)
    assert "The model is too small." in (out / "glossary.md").read_text()
    assert "no words were found" not in (out / "glossary.md").read_text()


class _Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags, self.ids, self.addresses = list[str](), set[str](), list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.ids.add(value or "")
            elif name in ("href", "src"):
                self.addresses.append(value or "")


def test_one_html_page_needs_nothing_else(tmp_path: Path, code: dict[str, str]) -> None:
    out = tmp_path / "out"
    written_to(out, made(), code)
    checker = _Checker()
    checker.feed((out / "summary.html").read_text())
    assert not {"script", "img", "iframe", "link", "object"} & set(checker.tags) and "svg" in checker.tags
    assert all(each.startswith("#") or "code/a%20b/cart.py" in each for each in checker.addresses)
    assert {each[1:] for each in checker.addresses if each.startswith("#")} <= checker.ids
    markdown = "".join(page.read_text() for page in out.rglob("*.md"))
    assert "<script" not in markdown.replace("\\<", "") and "![" not in markdown.replace("\\[", "")


def test_written_again_it_leaves_nothing_old(tmp_path: Path, code: dict[str, str]) -> None:
    out = tmp_path / "out"
    written_to(out, made(keys=("cart", "old")), code)
    assert (out / "parts/old.md").is_file()
    written_to(out, made("It adds more."), code)
    assert not (out / "parts/old.md").exists() and "It adds more" in (out / "risks.md").read_text()
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]


def test_a_foreign_folder_is_left_alone(tmp_path: Path, code: dict[str, str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.md").write_text("mine")
    with pytest.raises(UsageError, match="holds what is no summary of Longdesk's: notes.md"):
        open_folder(out)
    assert [path.name for path in out.iterdir()] == ["notes.md"]
    with pytest.raises(UsageError, match="is no folder"):
        open_folder(out / "notes.md")


def test_a_foreign_file_among_ours_is_left_alone(tmp_path: Path, code: dict[str, str]) -> None:
    out = tmp_path / "out"
    folder = begin(open_folder(out), "s1", [])
    (out / "risks.md").write_text("mine")
    with pytest.raises(UsageError, match=r"risks\.md is no file of Longdesk's"):
        write(folder, made(), code)
    assert (out / "risks.md").read_text() == "mine"


def test_an_edited_page_is_left_alone(tmp_path: Path, code: dict[str, str]) -> None:
    out = tmp_path / "out"
    written_to(out, made(), code)
    (out / "risks.md").write_text("mine")
    with pytest.raises(UsageError, match=r"risks\.md was edited"):
        open_folder(out)
    (out / "risks.md").unlink()  # one that was deleted is written again
    written_to(out, made(), code)
    assert (out / "risks.md").is_file()


def test_a_strangers_state_reaches_no_file_outside(tmp_path: Path, code: dict[str, str]) -> None:
    out = tmp_path / "out"
    written_to(out, made(), code)
    state = json.loads((out / "summary.json").read_text())
    (tmp_path / "precious.md").write_text("")
    digest = next(iter(state["files"].values()))
    state["files"] |= {"../precious.md": digest, "parts/../../precious.md": digest, "x": 7}
    (out / "summary.json").write_text(json.dumps({**state, "session": 3, "given": "x"}))
    folder = open_folder(out)
    assert "../precious.md" not in folder.files and folder.session is None and folder.given == ()
    write(folder, made(), code)
    assert (tmp_path / "precious.md").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "longdesk summary"}', "[" * 100_000])
def test_a_broken_state_is_no_crash(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_text(text)
    if "longdesk" in text:
        assert open_folder(tmp_path).summary is None
        return
    with pytest.raises(UsageError, match=r"summary\.json"):
        open_folder(tmp_path)


def test_what_was_killed_while_writing_is_written_again(tmp_path: Path, code: dict[str, str]) -> None:
    out = tmp_path / "out"
    written_to(out, made(), code)
    old = (out / "summary.json").read_text()
    written_to(out, made("It adds more."), code)
    new = json.loads((out / "summary.json").read_text())
    both = {name: [*json.loads(old)["files"].get(name, []), *known] for name, known in new["files"].items()}
    (out / "summary.json").write_text(json.dumps({**new, "files": both}))
    (out / "risks.md").write_text((out / "risks.md").read_text().replace("It adds more", "It adds"))
    written_to(out, made("It adds again."), code)
    assert "It adds again" in (out / "risks.md").read_text()


def test_stale_pages_are_shown_as_stale(tmp_path: Path, code: dict[str, str]) -> None:
    out, summary = tmp_path / "out", made()
    stale = summary.stale({"a b/cart.py": "d2", "new.py": "d"})
    assert stale["risks"] == ("a b/cart.py",) and stale["map"] == ("a b/cart.py", "new.py")
    assert not summary.stale({"a b/cart.py": "d1"})
    written_to(out, summary, code, stale=stale)
    assert "> Stale: a b/cart.py changed since this was written." in (out / "risks.md").read_text()
    assert "(stale)" in (out / "index.md").read_text() and "stale" in (out / "summary.html").read_text()


@pytest.mark.parametrize("name", ["../../stolen", "/tmp/stolen", "parts/../../stolen", "parts/.hidden", "a\nb"])
def test_a_strangers_pages_stay_in_the_folder(tmp_path: Path, code: dict[str, str], name: str) -> None:
    out = tmp_path / "repository" / "out"
    written_to(out, made(), code)
    state = json.loads((out / "summary.json").read_text())
    state["pages"][0]["name"] = name
    (out / "summary.json").write_text(json.dumps(state))
    folder = open_folder(out)
    assert folder.summary is None and folder.session == "s1"
    written_to(out, made(), code)
    assert not list(tmp_path.rglob("*stolen*"))


@pytest.mark.parametrize(
    "field", [{"sources": 5}, {"title": 5}, {"sections": [{"heading": 1, "part": "", "statements": []}]}]
)
def test_a_strangers_summary_that_is_none_is_none(tmp_path: Path, code: dict[str, str], field: dict[str, Any]) -> None:
    out = tmp_path / "out"
    written_to(out, made(), code)
    state = json.loads((out / "summary.json").read_text())
    state["pages"][0] |= field
    (out / "summary.json").write_text(json.dumps(state))
    assert open_folder(out).summary is None


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LongdeskError, match="file"):
        begin(open_folder(tmp_path / "file" / "out"), "s1", [])
    with pytest.raises(LongdeskError, match="cannot be read"):
        open_folder(tmp_path / ("long" * 100))
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere" / "at" / "all")
    with pytest.raises(LongdeskError, match="lost"):
        begin(open_folder(tmp_path / "lost"), "s1", [])
