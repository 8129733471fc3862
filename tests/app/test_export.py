"""Sessions as documents: every answer stands in them whole, and none swallows the next or passes for one."""

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from app.cli.output.session import session_json
from app.exchange.page import session_page
from app.export import session_markdown
from storage.records import Outcome, SessionRecord
from storage.store import Store
from tests.app.answers.generated import PIECES, TRICKS, answer

Keep = Callable[..., SessionRecord]

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

UGLY = [
    "```\nopen",
    "~~~~\nopen ```",
    "````\n```",
    "`````",
    "<!-- open",
    "<div>\n\n<p>",
    "<script>\nvar a",
    "<pre>\n\nopen",
    "<![CDATA[ open",
    "# Another title\n\n## Another question\n\nIts answer",
    "Title\n=====",
    "[x]: http://203.0.113.7\n",
    "[^1]: note",
    "> quote",
    "- item\n\n  - deeper",
    "1. one",
    "    code",
    "| a |\n|---|\n| b |",
    "text\\",
    "text  ",
    "\n\n  \n",
    "a\r\nb\r```\r\n",
    "$$\nopen",
    "%% open",
    "::: box\nopen",
    "\\[ open",
    "<a href='",
    "`",
    "\x1b[31mred\x1b[0m \0 \u202e",
    "## Why?",
]


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Keep]:
    """Keeps a session of these answers."""
    with Store(tmp_path / "home") as store:

        def keep_session(answers: Sequence[str], *, question: str = "Why?", title: str = "Title") -> SessionRecord:
            session = store.sessions.create(title=title, model="m").id
            with store.leases.acquire(session) as lease:
                for text in answers:
                    store.turns.finish(store.turns.begin(lease, question=question).id, Outcome(text=text, stop="end"))
            return store.record(session)

        yield keep_session


def headings(document: str) -> list[tuple[str, str]]:
    """The headings that a reader of Markdown sees, but those that are below a question's."""
    tokens = READER.parse(document)
    found = [(token.tag, tokens[at + 1].content) for at, token in enumerate(tokens) if token.type == "heading_open"]
    return [heading for heading in found if heading[0] in ("h1", "h2")]


def assert_whole(keep: Keep, answers: Sequence[str]) -> None:
    """Between each pair of answers stands a plain one, whose question must be seen, at the margin."""
    between = [each for text in answers for each in (text, "Plain.")]
    document = session_markdown(keep(between))
    assert headings(document) == [("h1", "Title"), *[("h2", "Why?")] * len(between)]
    at = 0
    for text in between:
        at = document.index(text, at) + len(text)
    paragraphs = [token.content for token in READER.parse(document) if token.type == "inline" and token.level == 1]
    assert paragraphs.count("Plain.") == len(answers)


@pytest.mark.parametrize("text", UGLY)
def test_an_answer_keeps_to_itself(keep: Keep, text: str) -> None:
    assert_whole(keep, [text])


@pytest.mark.slow  # 1.0 s
def test_generated_answers_keep_to_themselves(keep: Keep) -> None:
    assert_whole(keep, [answer(random.Random(seed)) for seed in range(150)])
    assert_whole(keep, [*PIECES, *TRICKS])


def test_what_is_exported_as_json_is_what_was_sampled(keep: Keep) -> None:
    answers = [*UGLY, *PIECES, *TRICKS, *(answer(random.Random(seed)) for seed in range(300))]
    document = json.dumps(session_json(keep(answers), max_tiles=16), ensure_ascii=False, indent=2)
    assert [turn["text"] for turn in json.loads(document)["turns"]] == answers


def test_an_ordinary_answer_stands_as_it_is(keep: Keep) -> None:
    text = "It is **so**:\n\n### Details\n\n- `a -> b`\n\n```py\nx = 1\n```\n"
    assert session_markdown(keep([text])).endswith(f"## Why?\n\n{text}\n")


@pytest.mark.parametrize(
    "question",
    [
        "two\nlines",
        "# x",
        "*b*",
        "```\nopen",
        "<!-- x",
        "",
        " x",
        "a  ",
        "[a](b)",
        "[x]: y",
        "`x`",
        "a\rb",
        "$x$",
        "- x",
        "1. x",
    ],
)
def test_a_question_is_shown_as_it_was_asked(keep: Keep, question: str) -> None:
    document = session_markdown(keep(["Plain.", "Plain."], question=question))
    assert headings(document) == [("h1", "Title"), ("h2", "Question 1"), ("h2", "Question 2")]
    tokens = READER.parse(document)
    asked = [token.content for token in tokens if token.type == "fence"]
    assert asked == [re.sub(r"\r\n?", "\n", question) + ("" if question.endswith("\n") else "\n")] * 2
    assert document.count(question) >= 2


@pytest.mark.parametrize("title", ["*b*", "<!-- x", "a `b` ``c", "`", "# x", "[x](y)", "x\\", ":red[x]", "www.a.b"])
def test_a_title_is_shown_as_it_is(keep: Keep, title: str) -> None:
    (heading,) = [token for token in READER.parse(session_markdown(keep([], title=title))) if token.type == "inline"][
        :1
    ]
    assert heading.children and [child.content for child in heading.children] == [title]
    assert heading.children[0].type in ("text", "code_inline")


@pytest.mark.parametrize(
    "text", [*UGLY[:9], "~~~\n```\n", "> ```\n> open", "- ~~~\n  open", "</section></div>", "<svg><title>"]
)
def test_each_question_stands_on_the_html_page(keep: Keep, text: str) -> None:
    page = session_page(keep([text, "Plain.", text])).decode()
    parts = re.findall(r'<section id="q\d">(.*?)</section>', page, re.DOTALL)
    assert len(parts) == 3 and all("Why?" in part for part in parts)
    assert "Plain." in parts[1] and all(part.count("<pre") == part.count("</pre>") for part in parts)
    assert page.count("<section") == page.count("</section>") == 3


@pytest.mark.parametrize("text", ["$$\na\n$$", "costs $5", "100 %", "a :: b", "\\[ a \\] done"])
def test_what_ends_stands_as_it_is(keep: Keep, text: str) -> None:
    assert f"\n{text}\n" in session_markdown(keep([text]))
