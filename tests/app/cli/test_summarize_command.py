"""`longdesk summarize`: pages in a folder, run again after an edit, stopped, checked; and what it refuses."""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from PIL import Image

from app.cli import _exit_code, cli
from app.desk import Desk
from app.passes.summary.as_html import map_of
from app.passes.summary.document import summary_from
from engine.errors import LongdeskError
from tests.app.passes.summary.scribe import Scribe
from tests.app.passes.summary.test_summarize import FILES


class Told:
    """What a command gave: its exit code, its document and what it said."""

    def __init__(self, *arguments: str) -> None:
        result = CliRunner().invoke(cli, ["summarize", *arguments], standalone_mode=False)
        error, code = result.exception, result.return_value
        if error is not None and not isinstance(error, LongdeskError):
            raise error
        self.code = _exit_code(error) if isinstance(error, LongdeskError) else code or 0
        self.out, self.err = result.stdout, result.stderr + (str(error) if error else "")


@pytest.fixture
def scribe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scribe:
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    scribe = Scribe()
    monkeypatch.setattr("app.cli.desk.Desk", partial(Desk, backend=scribe))
    for name, text in FILES.items():
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(text)
    return scribe


def document(*arguments: str) -> dict[str, Any]:
    told = Told(*arguments, "--json", "--pass-tokens", "450")
    assert told.code == 0, told.err
    found: dict[str, Any] = json.loads(told.out)
    return found


def test_pages_in_a_folder(scribe: Scribe, tmp_path: Path) -> None:
    told = Told("code", "--pass-tokens", "450")
    assert told.code == 0, told.err
    out = tmp_path / "longdesk-summary"
    assert told.out.splitlines()[0] == "longdesk-summary/index.md" and (out / "summary.html").is_file()
    assert "7 of 7 sources, each once" in told.out and "Reading 7 sources in" in told.err
    assert "[code/shop/cart.py" not in (out / "purpose.md").read_text()
    assert "(../code/shop/cart.py#L4)" in (out / "purpose.md").read_text()
    assert "```mermaid\nflowchart LR" in (out / "map.md").read_text()
    assert "risks: No words" not in told.out and "Risks: No words of the sources" in told.out


def test_run_again_after_an_edit(scribe: Scribe, tmp_path: Path) -> None:
    first = document("code")
    assert all(page["redone"] for page in first["pages"])
    again = document("code")
    assert not any(page["redone"] for page in again["pages"]) and again["session"] == first["session"]
    assert Told("code", "--check").code == 0

    (tmp_path / "code/shop/money.py").write_text(FILES["shop/money.py"].replace("sum", "max"))
    checked = Told("code", "--check", "--json")
    stale = {each["page"] for each in json.loads(checked.out)["stale"]}
    assert checked.code == 1 and {"purpose", "map"} <= stale
    told = Told("code", "--pass-tokens", "450")
    redone = {line.split()[1] for line in told.out.splitlines() if line.split()[:1] == ["redone"]}
    kept = {line.split()[1] for line in told.out.splitlines() if line.split()[:1] == ["kept"]}
    parts = {name for name in redone | kept if name.startswith("parts/")}
    assert len(parts & redone) == 1 and parts & kept and redone <= stale
    assert Told("code", "--check").code == 0


def test_stopped_it_shows_what_is_stale_and_goes_on(scribe: Scribe, tmp_path: Path) -> None:
    document("code")
    (tmp_path / "code/shop/money.py").write_text(FILES["shop/money.py"].replace("sum", "max"))
    scribe.breaks_at = len(scribe.calls) + 2
    assert Told("code", "--pass-tokens", "450").code == 1
    assert "Stale: " in (tmp_path / "longdesk-summary/purpose.md").read_text()
    scribe.breaks_at = None
    assert Told("code", "--pass-tokens", "450").code == 0
    assert "Stale: " not in (tmp_path / "longdesk-summary/purpose.md").read_text()


def test_its_own_pages_are_no_sources(scribe: Scribe, tmp_path: Path) -> None:
    out = str(tmp_path / "code" / "docs" / "summary")
    first = document("code", "--out", out)
    again = document("code", "--out", out)
    assert first["reading"]["n_sources"] == again["reading"]["n_sources"] == len(FILES)
    assert not any(page["redone"] for page in again["pages"])


def test_other_paths_into_the_same_folder_are_another_summary(scribe: Scribe, tmp_path: Path) -> None:
    document("code")
    other = document("code/shop")
    assert {path for part in other["parts"] for path in part["sources"]} == {
        name.removeprefix("shop/") for name in FILES if name.startswith("shop/")
    }


def test_a_session_is_summarized(scribe: Scribe, tmp_path: Path) -> None:
    first = document("code")
    by_session = document("--session", first["session"], "--out", "other")
    assert not any(page["redone"] for page in by_session["pages"]) and by_session["out"] == "other"
    assert Told("--session", first["session"], "--out", "other", "--check").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "There is nothing to summarize."),
        (("code", "--session", "x"), 2, "Leave PATH or --session out."),
        (("code", "--out", "."), 2, "need a folder of their own"),
        (("code", "--out", "code"), 2, "holds what is no summary of Longdesk's"),
        (("code", "--check"), 2, "There is no summary in longdesk-summary."),
        (("nowhere",), 2, "nowhere"),
        (("code", "--ctx", "600"), 3, "--ctx"),
        (("--session", "nowhere"), 2, "nowhere"),
    ],
)
def test_what_is_refused_leaves_nothing(
    scribe: Scribe, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before = sorted(path for path in (tmp_path / "code").rglob("*"))
    told = Told(*arguments)
    assert told.code == code and said in told.err, told.err
    assert sorted(path for path in (tmp_path / "code").rglob("*")) == before
    assert not list((tmp_path).glob("longdesk-summary/*.md"))


def test_names_that_are_no_text_and_folders_with_signs(scribe: Scribe, tmp_path: Path) -> None:
    shop = tmp_path / "code" / "a[1] #%"
    shop.mkdir()
    for name in (b"\xff.py", b"be\x01ll.py", b"<img src=x>`.py"):
        (shop / os.fsdecode(name)).write_text(f"def f{name[0]}(item):\n    return item\n")
    given = ("code", "--pass-tokens", "450", "--out", "code/out[1]*")
    told = Told(*given)
    assert told.code == 0, told.err
    assert "10 of 10 sources, each once" in told.out
    out = tmp_path / "code" / "out[1]*"
    assert ElementTree.fromstring(map_of(summary_from(json.loads((out / "summary.json").read_bytes()))))
    assert "<img" not in (out / "summary.html").read_text()
    assert "/%FF.py)" in "".join(page.read_text() for page in out.glob("parts/*.md"))
    n_calls = len(scribe.calls)
    told = Told(*given)
    assert told.code == 0 and len(scribe.calls) == n_calls, "its pages are no sources, and nothing is stale"
    assert Told("code", "--out", "code/out[1]*", "--check").code == 0


def test_an_image_that_the_model_cannot_see_makes_nothing_stale(scribe: Scribe, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "code" / "logo.png")
    made = document("code")
    session = made["session"]
    assert {"path": "logo.png", "reason": "nothing but pictures, which the model cannot see"} in made["skipped"]
    assert Told("code", "--check").code == 0
    told = Told("--session", session, "--out", "longdesk-summary", "--check")
    assert told.code == 0, told.out
