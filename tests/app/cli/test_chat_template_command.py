"""Chat templates as scripts see them: what a model brings, what does not render, and --chat-template."""

import re
from pathlib import Path

import pytest

from tests.command_line import CommandLine, Run
from tests.models.families import CHATML, IDEFICS3, QWEN35, SMOLLM3
from tests.models.scripted import build_scripted

HOW = ("--max-tokens", "8", "--no-quotes", "--threads", "2")
BROKEN = "{% for m in messages %}\n{{ m.content }}\n{% weird %}\n{% endfor %}"
RAISING = "{% for m in messages %}\n\n{{ raise_exception('Not\x1b[31m today.') }}{% endfor %}"
OWN = (
    "{% for m in messages %}{{ '<|im_start|>' ~ m.role ~ '\nMINE ' ~ m.content ~ '<|im_end|>\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)
CONTROL = ("<|im_start|>", "<|im_end|>", "<end_of_utterance>")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "notes.txt").write_text("Apples are red.\n")
    return tmp_path / "notes.txt"


def scripted(folder: Path, template: str = "", **options: dict[str, str]) -> CommandLine:
    model = build_scripted(folder / "m.gguf", ["Hello", " there", "."], template=template, control=CONTROL, **options)
    return CommandLine(folder / "home", model)


def asked(longdesk: CommandLine, *given: object) -> Run:
    run = longdesk("ask", *given, "-q", "Why?", *HOW, "--json")
    assert run.code == 0, run.err
    return run


@pytest.mark.slow  # some processes that load a model
@pytest.mark.parametrize("template", [SMOLLM3, IDEFICS3, CHATML])
def test_a_model_is_asked_as_its_template_says(template: str, tmp_path: Path, corpus: Path) -> None:
    run = asked(scripted(tmp_path, template), corpus)
    assert run.answer["text"] == "Hello there." and run.answer["stop"] == "end"
    assert run.answer["chat_template"] == {"used": "model", "name": None, "fault": None, "note": None, "thinking": None}
    assert "template" not in run.err


@pytest.mark.slow  # some processes that load a model
@pytest.mark.parametrize(
    ("template", "fault"),
    [(BROKEN, r"Encountered unknown tag 'weird'.* \(line 3\)"), (RAISING, r"Not\ufffd\[31m today \(line 3\)")],
)
def test_one_that_does_not_render_is_said_everywhere_and_changes_no_exit_code(
    template: str, fault: str, tmp_path: Path, corpus: Path
) -> None:
    longdesk = scripted(tmp_path, template)
    answered, counted = asked(longdesk, corpus), longdesk("count", corpus, "--json")
    planned, alone = longdesk("plan", corpus, "--json"), longdesk("plan", "--json")
    uses = [answered.answer["chat_template"], *(run.document["chat_template"] for run in (counted, planned, alone))]
    assert counted.code == planned.code == alone.code == 0 and answered.answer["text"].startswith("Hello")
    [use] = {tuple(use.items()) for use in uses}
    said = dict(use)
    assert said["used"] == "plain" and said["name"] is None
    assert re.fullmatch(fault, said["fault"])
    assert said["fault"] in said["note"] and "a plain one is used" in said["note"] and "--chat-template" in said["note"]
    assert said["note"] in answered.err and said["note"] in longdesk("plan", corpus).out
    assert said["note"] in longdesk("count", corpus).out and "\x1b" not in answered.err
    verified = longdesk("models", "verify", longdesk.model, "--json")
    [check] = [check for check in verified.document["checks"] if check["check"] == "template"]
    assert verified.code == 4 and not check["passed"] and said["fault"] in check["detail"]


@pytest.mark.slow  # some processes that load a model
def test_of_templates_with_names_the_one_for_tools_is_used(tmp_path: Path, corpus: Path) -> None:
    longdesk = scripted(tmp_path, templates={"rag": "{{ 'nothing' }}", "tool_use": CHATML})
    run = asked(longdesk, corpus)
    use = run.answer["chat_template"]
    assert (use["used"], use["name"]) == ("model", "tool_use") and "rag and tool_use" in use["note"]
    assert use["note"] in run.err and longdesk("models", "verify", longdesk.model).code == 0


@pytest.mark.slow  # some processes that load a model
def test_a_file_takes_the_place_of_the_models_and_a_session_keeps_it(tmp_path: Path, corpus: Path) -> None:
    longdesk, mine = scripted(tmp_path, CHATML), tmp_path / "mine.jinja"
    mine.write_text(OWN)
    first = asked(longdesk, corpus, "--chat-template", mine).answer
    assert first["chat_template"]["used"] == "file" and first["chat_template"]["name"] == "mine.jinja"
    plain = longdesk("count", corpus, "--json").document["total_tokens"]
    with_mine = longdesk("count", corpus, "--chat-template", mine, "--json").document["total_tokens"]
    assert with_mine == plain + 2 * len("MINE ")
    mine.unlink()
    more = asked(longdesk, "--session", first["session"])
    assert more.answer["chat_template"]["name"] == "mine.jinja"
    assert more.answer["reused_tokens"] >= first["prompt_tokens"]  # it goes on from what was read
    assert not [line for line in more.err.splitlines() if "template" in line]
    back = asked(longdesk, "--session", first["session"], "--chat-template", "model")
    assert back.answer["chat_template"]["used"] == "model"
    assert "another chat template: the model's own, in place of mine.jinja" in back.err
    assert back.answer["reused_tokens"] < first["prompt_tokens"]  # what was read under the other is not used
    assert asked(longdesk, "--session", first["session"]).answer["chat_template"]["used"] == "model"
    verified = longdesk("sessions", "verify", first["session"])
    assert verified.code == 0 and "another chat template would lay it out" in verified.out + verified.err


@pytest.mark.slow  # some processes that load a model
def test_the_settings_name_one_and_a_session_that_was_begun_before_goes_on(tmp_path: Path, corpus: Path) -> None:
    longdesk, mine = scripted(tmp_path, CHATML), tmp_path / "mine.jinja"
    session = asked(longdesk, corpus).answer["session"]
    mine.write_text(OWN)
    (longdesk.home / "config.toml").write_text(f'chat_template = "{mine}"\n')
    assert asked(longdesk, corpus).answer["chat_template"]["used"] == "file"
    assert asked(longdesk, corpus, "--chat-template", "model").answer["chat_template"]["used"] == "model"
    assert asked(longdesk, "--session", session).answer["chat_template"]["used"] == "model"


@pytest.mark.slow  # some processes that load a model
def test_one_that_was_chosen_for_another_model_is_not_used(tmp_path: Path, corpus: Path) -> None:
    longdesk, mine = scripted(tmp_path, CHATML), tmp_path / "mine.jinja"
    mine.write_text(OWN)
    session = asked(longdesk, corpus, "--chat-template", mine).answer["session"]
    other = build_scripted(tmp_path / "other.gguf", ["Other"], template=SMOLLM3, control=CONTROL)
    run = asked(longdesk, "--session", session, "--model", other)
    assert run.answer["chat_template"]["used"] == "model" and run.answer["text"] == "Other"
    assert "mine.jinja was chosen for another model: this one's own is used." in run.err


def test_a_file_that_cannot_be_used_is_a_sentence(tmp_path: Path, corpus: Path) -> None:
    longdesk = scripted(tmp_path, CHATML)
    (tmp_path / "bad.jinja").write_text("{% for m in messages %}\n{{ m. }}{% endfor %}")
    (tmp_path / "reversed.jinja").write_text("{% for m in messages | reverse %}{{ m.content }}{% endfor %}")
    (tmp_path / "binary.jinja").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large.jinja").write_text("x" * (1 << 20) + "y")
    (tmp_path / "empty.jinja").write_text("\n")
    for name, code, why in (
        ("bad.jinja", 4, "does not render: expected name or number (line 2)"),
        ("reversed.jinja", 4, "does not render: it leaves messages out or changes their order"),
        ("binary.jinja", 4, "is not text in UTF-8"),
        ("large.jinja", 4, "is larger than 1 MiB"),
        ("empty.jinja", 4, "is empty"),
        ("nonesuch", 2, "is not there"),
        (".", 2, "is a folder"),
    ):
        run = longdesk("count", corpus, "--chat-template", tmp_path / name)
        assert (run.code, run.out) == (code, "") and why in run.err and run.err.count("\n") == 1, run.err
    assert longdesk("count", corpus, "--chat-template", "").code == 2
    (longdesk.home / "config.toml").write_text("chat_template = 'nonesuch'\n")
    assert longdesk("count", corpus).code == 2 and longdesk("sessions", "list").code == 0


@pytest.mark.slow  # some processes that load a model
def test_a_thought_stands_apart_and_all_say_the_same_of_the_template(tmp_path: Path, corpus: Path) -> None:
    script = ["Let", " me", "</think>", "\n\n", "So it is."]
    model = build_scripted(tmp_path / "m.gguf", script, template=QWEN35, user=("<think>", "</think>"))
    longdesk = CommandLine(tmp_path / "home", model)
    run = asked(longdesk, corpus)
    assert (run.answer["text"], run.answer["thinking"], run.answer["stop"]) == ("So it is.", "Let me", "end")
    assert "".join(line["text"] for line in run.events if line["event"] == "thinking") == "Let me"
    again = asked(longdesk, "--session", run.answer["session"], "--thinking", "off")
    assert again.answer["prompt_tokens"] > again.answer["reused_tokens"] > 0
    assert (again.answer["text"], again.answer["thinking"]) == ("So it is.", "Let me"), "it thought all the same"
    shown = longdesk("sessions", "show", run.answer["session"], "--json").document
    assert [turn["thinking"] for turn in shown["turns"]] == ["Let me", "Let me"]
    said = {"earlier": "dropped", "begins": True, "switch": "enable_thinking"}
    counted, planned = longdesk("count", corpus, "--json").document, longdesk("plan", corpus, "--json").document
    assert all(each["chat_template"]["thinking"] == said for each in (run.answer, counted, planned))
    verified = longdesk("models", "verify", model).out
    assert "earlier thoughts are dropped, its generation prompt opens one, enable_thinking turns them" in verified
    assert longdesk("ask", corpus, "-q", "Why?", "--thinking", "much").code == 2
