"""`templates`, `ask --template`, `ask --git`, notes and tables, as scripts use them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command_line import CommandLine
from tests.engine.corpus.test_git_range import ENVIRONMENT

HOW = ("--max-tokens", "3", "--no-quotes")
TABLE = "| name | price |\n|---|---|\n| Apple | 3.50 |\n| =Fig | 4.25 |\n"


@pytest.fixture
def longdesk(tmp_path: Path, llama_gguf: Path) -> CommandLine:
    (tmp_path / "home" / "templates").mkdir(parents=True)
    return CommandLine(tmp_path / "home", llama_gguf)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "prices.csv").write_text("name,price\nApple,3.50\n=Fig,4.25\n")
    (tmp_path / "corpus" / "notes.txt").write_text("Apples are red.\n")
    return tmp_path / "corpus"


def own(longdesk: CommandLine, name: str, text: str) -> None:
    (longdesk.home / "templates" / name).write_text(text)


def test_templates_are_listed_and_shown(longdesk: CommandLine) -> None:
    own(longdesk, "mine.md", "---\ntitle: Mine\nblanks: {word: what to say}\nmax_tokens: 7\n---\nSay {{word}}.\n")
    own(longdesk, "bad.md", "---\ntitle: [\n---\n")
    listed = longdesk("templates", "list", "--json").document
    assert [each["name"] for each in listed["templates"] if each["own"]] == ["mine"] and len(listed["templates"]) == 8
    assert [fault["name"] for fault in listed["faults"]] == ["bad"]
    run = longdesk("templates", "list")
    assert run.code == 0 and "mine" in run.out and "bad.md" in run.err and "bad.md" not in run.out
    shown = longdesk("templates", "show", "mine", "--json").document
    assert shown["text"] == "Say {{word}}." and shown["settings"] == {"max_tokens": 7}
    assert shown["blanks"] == [{"name": "word", "about": "what to say", "default": None}]
    assert "Say {{word}}." in longdesk("templates", "show", "/mine").out
    assert longdesk("templates", "show", "bad").code == 4 and longdesk("templates", "show", "none").code == 2


@pytest.mark.slow  # some processes that load a model
def test_a_template_is_asked_and_its_turn_keeps_that(longdesk: CommandLine, corpus: Path) -> None:
    own(longdesk, "mine.md", "---\nsources: [text]\ntemperature: 0.5\nmax_tokens: 2\n---\nSay {{word}} {{again}}.\n")
    given = ("--template", "mine", "--set", "word={{again}}", "--set", "again=a=b", "--no-quotes", "--json")
    answer = longdesk("ask", corpus, *given, "-q", "And stop.").answer
    session = answer["session"]
    shown = longdesk("sessions", "show", session, "--json").document
    [turn] = shown["turns"]
    assert turn["question"] == "Say {{again}} a=b.\n\nAnd stop." and turn["template"] == "mine"
    assert answer["reply_tokens"] <= 2 and answer["template"] == "mine"
    more = longdesk("ask", "--session", session, *given[:6], "--max-tokens", "4", "--no-quotes", "--json").answer
    assert 2 < more["reply_tokens"] <= 4, "what is given on the command line counts"
    called = longdesk("ask", "--session", session, "-q", "/mine hello again: you", "--no-quotes", "--json").answer
    turns = longdesk("sessions", "show", session, "--json").document["turns"]
    assert turns[called["index"]]["question"] == "Say hello you."
    longdesk("ask", "--session", session, "--again", *HOW)
    assert longdesk("sessions", "show", session, "--json").document["turns"][-1]["template"] == "mine"
    exported = longdesk("sessions", "export", session, "--format", "json").out
    assert json.loads(exported)["turns"][0]["settings"]["template"] == "mine"


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (("--template", "none"), 2, "no template none"),
        (("--template", ""), 2, "No template is named"),
        (("--template", "/"), 2, "No template is named"),
        (("--template", "../x.md"), 2, "by its name, not by a path"),
        (("--template", "bad"), 4, "bad.md"),
        (("--template", "extract-table"), 2, "not filled in: what"),
        (("--template", "explain", "--set", "colour=red"), 2, "no blank colour"),
        (("--template", "explain", "--set", "focus"), 2, "no NAME=TEXT"),
        (("--template", "explain", "--set", "focus=a", "--set", "focus=b"), 2, "set twice"),
        (("--set", "focus=a", "-q", "x"), 2, "no template is named"),
        (("-q", "/explian"), 2, "Did you mean /explain"),
        (("--git", "v1..v2", "-q", "x"), 2, "no git checkout"),
        (("--template", "explain", "--again"), 2, "Only a session"),
    ],
)
def test_what_cannot_be_asked_so_is_a_sentence(
    longdesk: CommandLine, corpus: Path, given: tuple[str, ...], code: int, said: str
) -> None:
    own(longdesk, "bad.md", "---\ntitle: [\n---\n")
    run = longdesk("ask", corpus, *given)
    assert run.code == code and said in run.err, run.err
    assert longdesk("sessions", "list", "--json").document == {"sessions": []}


@pytest.mark.slow  # some processes that load a model
@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_the_commits_of_a_range_are_asked_about(longdesk: CommandLine, corpus: Path) -> None:
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "First"], ["tag", "v1"]):
        subprocess.run(["git", "-C", corpus, *command], env=ENVIRONMENT, check=True)
    (corpus / "new.txt").write_text("New.\n")
    for command in (["add", "."], ["commit", "-qm", "Add a file"]):
        subprocess.run(["git", "-C", corpus, *command], env=ENVIRONMENT, check=True)
    answer = longdesk("ask", corpus, "--git", "v1..", "--template", "release-notes", *HOW, "--json").answer
    shown = longdesk("sessions", "show", answer["session"], "--json").document
    assert [source["path"].split("-", 2)[2] for source in shown["sources"]] == ["add-a-file.diff"]
    filled = longdesk("ask", corpus, "-q", "/release-notes range: v1..", "--session", answer["session"], *HOW, "--json")
    again = longdesk("sessions", "show", filled.answer["session"], "--json").document
    assert [source["path"] for source in again["sources"]] == [source["path"] for source in shown["sources"]]


@pytest.mark.slow  # some processes that load a model
def test_notes_and_tables_of_a_session(longdesk: CommandLine, corpus: Path, tmp_path: Path) -> None:
    session = longdesk("ask", corpus, "-q", "Q", *HOW, "--json").answer["session"]
    assert longdesk("sessions", "tables", session).code == 2
    document = json.loads(longdesk("sessions", "export", session, "--format", "json").out)
    document["turns"][0] |= {"text": TABLE, "reply_ids": []}
    document["id"] = "tabletable"
    (tmp_path / "export.json").write_text(json.dumps(document))
    assert longdesk("sessions", "import", tmp_path / "export.json").code == 0
    table = longdesk("sessions", "tables", "tabletable", "--at", "1", "--json").document["tables"]
    assert [[cell["source"] for cell in row] for row in table[0]["rows"]] == [
        ["prices.csv:2"] * 2,
        ["prices.csv:3"] * 2,
    ]
    written = longdesk("sessions", "export", "tabletable", "--format", "csv").out.splitlines()
    assert written[-1] == '"\'=Fig","4.25","prices.csv:3","prices.csv:3"'
    assert "[^1]: `prices.csv:2`" in longdesk("sessions", "tables", "tabletable").out

    assert longdesk("sessions", "keep", "tabletable", "--title", "Prices").code == 0
    assert longdesk("sessions", "keep", "tabletable", "--text", "-", stdin="Apple").code == 0
    assert longdesk("sessions", "keep", "tabletable", "--at", "9").code == 2
    notes = longdesk("sessions", "notes", "tabletable", "--json").document["kept_notes"]
    assert [(note["title"], note["text"], note["turn"]) for note in notes] == [
        ("Prices", TABLE, 0),
        ("Apple", "Apple", 0),
    ]
    assert longdesk("sessions", "note", "tabletable", "2", "--rename", "Fruit").code == 0
    assert longdesk("sessions", "note", "tabletable", "2", "--rename", " ").code == 2
    assert longdesk("sessions", "note", "tabletable", "2").out == "Apple\n"
    sent = longdesk("sessions", "note", "tabletable", "2", "--send", "--json").document
    assert sent == {"number": 2, "path": "notes/Fruit.md"}
    shown = longdesk("sessions", "show", "tabletable", "--json").document
    assert "notes/Fruit.md" in [source["path"] for source in shown["sources"]] and len(shown["kept_notes"]) == 2
    for layout, expected in (("md", "## Note 1: Prices"), ("html", "Note: Prices"), ("json", '"kept_notes"')):
        assert expected in longdesk("sessions", "export", "tabletable", "--format", layout).out
    whole = longdesk("sessions", "export", "tabletable", "--format", "json").out
    (tmp_path / "whole.json").write_text(whole)
    other = CommandLine(tmp_path / "other", longdesk.model)
    assert other("sessions", "import", tmp_path / "whole.json").code == 0
    assert other("sessions", "export", "tabletable", "--format", "json").out == whole
    assert longdesk("sessions", "note", "tabletable", "1", "--delete").code == 0
    assert longdesk("sessions", "note", "tabletable", "1").code == 2
    assert longdesk("sessions", "note", "tabletable", "2", "--delete", "--send").code == 2
