"""Every door says the same of a chat template: the same sentence, the same facts, the same exit code."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app import cli as doors
from app.cli import cli, page
from app.desk import Desk
from app.settings import read_settings
from engine.errors import LongdeskError
from tests.known import settled
from tests.models.families import CHATML, GEMMA2, QWEN3, QWEN35
from tests.models.scripted import build_scripted

CONTROL = ("<|im_start|>", "<|im_end|>")
FAULTY = {
    "does not parse": ("{% for m in messages %}\n{{ m.content }\n{% endfor %}", "unexpected '}' (line 2)"),
    "a tag that nobody knows": ("{% frobnicate %}" + CHATML, "Encountered unknown tag 'frobnicate' (line 1)"),
    "raises": ("\n{{ raise_exception('Not today') }}" + CHATML, "Not today (line 2)"),
    "without what was said": ("{{ '<|im_start|>' }}", "it leaves messages out or changes their order"),
}
FINE = {
    "no system role": (GEMMA2.replace("{{ bos_token }}", ""), {}),
    "thoughts behind a switch": (QWEN3, {}),
    "thoughts from the start": (QWEN35, {}),
    "names alone": ("", {"templates": {"rag": "{{ messages[0].content }}", "tool_use": CHATML}}),
    "one name": ("", {"templates": {"chat": CHATML}}),
    "none at all": ("", {}),
}


class Doors:
    """The commands in this process, over one home, and what the page goes by."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        (folder / "a.txt").write_text("Apples are red.\n")

    def run(self, *words: object) -> tuple[int, str]:
        """The exit code, and what was printed; the sentence of an error."""
        done = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
        if isinstance(done.exception, LongdeskError):
            return doors._exit_code(done.exception), str(done.exception)
        assert done.exception is None, done.exc_info
        return int(done.return_value or 0), done.stdout

    def all(self, *more: object) -> dict[str, tuple[int, str]]:
        """What count, plan and verify say; each of them starts no engine."""
        model, corpus = ("--model", self.model), self.folder / "a.txt"
        return {
            "count": self.run("count", corpus, *model, *more),
            "plan": self.run("plan", corpus, *model, *more),
            "plan alone": self.run("plan", *model, *more),
            "verify": self.run("models", "verify", self.model, *more),
        }

    def page(self) -> dict[str, Any]:
        with closing(Desk(read_settings(model=str(self.model)))) as desk:
            return desk.about().template.to_json()


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))

    def build_doors(template: str, **options: Any) -> Doors:
        model = build_scripted(tmp_path / "m.gguf", ["Hello"], template=template, control=CONTROL, **options)
        settled(tmp_path / "home", model)
        return Doors(tmp_path, model)

    yield build_doors


def documents(said: dict[str, tuple[int, str]]) -> dict[str, dict[str, Any]]:
    return {door: json.loads(text) for door, (_, text) in said.items()}


@pytest.mark.parametrize("what", FAULTY)
def test_one_that_cannot_be_used(what: str, build: Any) -> None:
    template, fault = FAULTY[what]
    made = build(template)
    said = made.all("--json")
    assert {door: code for door, (code, _) in said.items()} == {"count": 0, "plan": 0, "plan alone": 0, "verify": 4}
    uses = [document["chat_template"] for document in documents(said).values()]
    assert uses == [made.page()] * 4 and uses[0]["used"] == "plain" and uses[0]["fault"] == fault
    assert fault in uses[0]["note"]
    for door, (_, text) in made.all().items():
        assert (fault if door == "verify" else uses[0]["note"]) in text.replace("\n", " "), door


@pytest.mark.parametrize("what", FINE)
def test_one_that_is_used(what: str, build: Any) -> None:
    template, options = FINE[what]
    made = build(template, **options)
    said = made.all("--json")
    assert {code for code, _ in said.values()} == {0}
    uses = [document["chat_template"] for document in documents(said).values()]
    assert uses == [made.page()] * 4 and uses[0]["fault"] is None
    if uses[0]["note"]:
        [check] = [each for each in documents(said)["verify"]["checks"] if each["check"] == "template"]
        assert uses[0]["note"] in check["detail"] or uses[0]["used"] == "plain"


@pytest.mark.parametrize(
    ("content", "code"),
    [(FAULTY["does not parse"][0], 4), (FAULTY["raises"][0], 4), ("", 4), (b"\xff\xfe\x00", 4), (None, 2)],
)
def test_a_file_that_is_wrong_is_refused_at_every_door(
    content: str | bytes | None, code: int, build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, given = build(CHATML), tmp_path / "own.jinja"
    if content is not None:
        given.write_bytes(content.encode() if isinstance(content, str) else content)
    own, corpus = ("--chat-template", given), tmp_path / "a.txt"
    said = made.all(*own)
    verified = said.pop("verify")
    for command in (("ask", corpus, "-q", "Q"), ("summarize", corpus), ("serve", corpus)):
        said[command[0]] = made.run(*command, "--model", made.model, *own)
    monkeypatch.setattr(page, "_serve", lambda *_: pytest.fail("it opened"))
    said["up"] = made.run("up", "--model", made.model, *own)
    monkeypatch.setenv("LONGDESK_MODEL", str(made.model))
    said["up, model set elsewhere"] = made.run("up", *own)
    [only] = set(said.values())
    assert only[0] == code == verified[0]
    assert only[1].removesuffix(" Mend it, or ask with the model's own: --chat-template model.") in verified[1]


def test_one_of_the_settings_that_is_wrong_is_said_by_the_page(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`up` opens: what was asked before is there to be read."""
    made, given = build(CHATML), tmp_path / "own.jinja"
    given.write_text(FAULTY["raises"][0])
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.toml").write_text(f'chat_template = "{given}"\n')
    monkeypatch.setattr(page, "_serve", lambda *_: 0)
    assert made.run("up", "--model", made.model)[0] == 0
    refused = made.run("count", tmp_path / "a.txt", "--model", made.model)
    with pytest.raises(LongdeskError) as raised:
        made.page()
    assert refused == (4, str(raised.value))


@pytest.mark.slow  # 2 s: it starts an engine
def test_an_answer_says_it_too(build: Any, tmp_path: Path) -> None:
    made = build(FAULTY["raises"][0])
    code, printed = made.run("ask", tmp_path / "a.txt", "-q", "Q", "--model", made.model, "--no-quotes", "--json")
    assert code == 0 and json.loads(printed.splitlines()[-1])["chat_template"] == made.page()
