"""Templates as files have them: front matter, blanks, and what is said of one that is none."""

import pytest

from app.templates.template import MOST_BYTES, Blank, Template, read_template
from engine.errors import InputRefused, UsageError


def made(text: str) -> Template:
    return read_template("mine", text.encode())


def test_a_text_alone_is_a_template_and_its_blanks_have_to_be_filled_in() -> None:
    template = made("List {{what}} of {{ whom }}, and {{what}}. Not {{a.b}} or {{}} or { {x} }.")
    assert (template.title, template.needs) == ("Mine", ("what", "whom"))
    assert template.fill({"what": "all", "whom": "{{what}}"}) == (
        "List all of {{what}}, and all. Not {{a.b}} or {{}} or { {x} }."
    ), "what is filled in is data"


def test_front_matter_says_what_a_template_is() -> None:
    template = made(
        '---\ntitle: "Facts: all"\nfor: [code, pdf]\nsources: pdf, image\ntemperature: 0.5\nmax_tokens: 99\nstop: END\n'
        "blanks:\n  whom: who it is for\n  n: {about: how many, default: 3}\n---\r\nGive {{n}} to {{whom}}.\r\n"
    )
    assert (template.title, template.suits, template.sources) == ("Facts: all", ("code", "pdf"), ("pdf", "image"))
    assert template.settings == {"temperature": 0.5, "reply_tokens": 99, "stops": ("END",)}
    assert template.blanks == (Blank("whom", "who it is for"), Blank("n", "how many", "3"))
    assert template.fill({"whom": "me"}) == "Give 3 to me."
    assert template.fill({"whom": "me", "n": " "}, "And be brief.\n") == "Give 3 to me.\n\nAnd be brief."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no text"),
        ("---\ntitle: x\n---\n \n", "no text"),
        ("---\ntitle: x\nHello", "has no end"),
        ("---\ntitle: [x\n---\nHello", "is no YAML in line 3"),
        ("---\ntitle: 'x\n---\nHello", "is no YAML"),
        ("---\n- a\n- b\n---\nHello", "no list of settings"),
        ("---\ncolour: red\n---\nHello", "colour, which is not known"),
        ("---\ntitle: x\ntitle: y\n---\nHello", "title is set twice"),
        ("---\ntitle: &a x\nfor: *a\n---\nHello", "an alias"),
        ("---\ntitle: {a: b}\n---\nHello", "title is no text"),
        ("---\ntitle: ''\n---\nHello", "0 characters"),
        ("---\nfor: [films]\n---\nHello", "films, which is not known"),
        ("---\nfor: 7\n---\nHello", "no list of words"),
        ("---\ntemperature: hot\n---\nHello", "temperature is 'hot'"),
        ("---\ntemperature: 11\n---\nHello", "from 0 to 10"),
        ("---\ntemperature: .nan\n---\nHello", "temperature is nan"),
        ("---\nmax_tokens: 0\n---\nHello", "a whole number from 1"),
        ("---\nmax_tokens: true\n---\nHello", "max_tokens is True"),
        ("---\nstop: ['']\n---\nHello", "no list of texts"),
        ("---\nblanks: {a: what}\n---\nHello", "no place for the blank a"),
        ("---\nblanks: 7\n---\nHello", "no list of names"),
        ("---\nblanks: {a: {takes: files}}\n---\nHello {{a}}", "The blank a takes files"),
        ("---\nblanks: {a: {takes: commits}, b: {takes: commits}}\n---\nHello", "Two of its blanks"),
        ("---\nblanks: {true: a, 'True': b}\n---\nHello {{True}}", "blank True is there twice"),
        ("---\nblanks: [a, b, a]\n---\nHello {{a}} {{b}}", "blank a is there twice"),
        ("---\nblanks: {a: {x: y}}\n---\nHello {{a}}", "blank a cannot be read"),
        ("---\nblanks: {a: {default: [1]}}\n---\nHello {{a}}", "no texts"),
        ("---\ntitle: !!python/object/apply:os.system ['true']\n---\nHello", "is no YAML"),
        ("---\ntitle: 2026-99-99\n---\nHello", "is no YAML"),
        ("---\ntitle: " + "[" * 5_000 + "\n---\nHello", "is no YAML"),
        ("---\nseed: 0x" + "f" * 5_000 + "\n---\nHello", "is no YAML in line 2: a number is too long"),
        ("---\nblanks: {a: {default: 0x" + "f" * 5_000 + "}}\n---\n{{a}}", "a number is too long"),
        ("---\ntitle: !!int ''\n---\nHello", "is no YAML"),
        ("---\ntitle: !!bool x\n---\nHello", "is no YAML"),
        ("---\ntitle: !!timestamp x\n---\nHello", "is no YAML"),
        ("Hello \0", "binary"),
        ("x" * (MOST_BYTES + 1), "over the limit of 64 KiB"),
        (" ".join(f"{{{{b{n}}}}}" for n in range(40)), "40 blanks"),
    ],
)
def test_what_is_no_template_is_said_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(InputRefused, match=r"[.!]$") as refused:
        made(text)
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize("data", [b"\xff\xfe\x00h", b"caf\xe9"])
def test_what_is_no_utf_8_is_said_so(data: bytes) -> None:
    with pytest.raises(InputRefused, match="no text in UTF-8"):
        read_template("mine", data)


def test_a_byte_order_mark_is_no_word() -> None:
    assert read_template("mine", b"\xef\xbb\xbf---\ntitle: T\n---\nHello").title == "T"


def test_a_blank_that_takes_commits_needs_no_place() -> None:
    template = made("---\nblanks: {range: {default: '', takes: commits}}\n---\nWhat changed?")
    assert template.fill({"range": " src v1..v2 "}) == template.fill({}) == "What changed?"
    assert template.commits({"range": " src v1..v2 "}) == "src v1..v2" and template.commits({}) == ""
    assert made("What changed?").commits({"range": "v1..v2"}) == ""


def test_blanks_that_are_missing_or_unknown_are_named() -> None:
    template = made("---\nblanks: {a: what it is}\n---\n{{a}} {{b}}")
    with pytest.raises(UsageError, match=r"not filled in: a \(what it is\); b\."):
        template.fill({"a": " "})
    with pytest.raises(UsageError, match=r"has no blank c\. It has a, b\."):
        template.fill({"c": "x"})
