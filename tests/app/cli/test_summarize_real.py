"""`longdesk summarize` with the starter: a small run that is stopped, killed, gone on with, and whole in the end."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.command_line import CommandLine
from tests.patience import PATIENCE_S

_FILES = {
    "shop/cart.py": 'from shop.money import total\n\n\ndef add(cart, item):\n    """Puts an item into the cart."""\n'
    "    cart.append(item)\n    return total(cart)\n",
    "shop/money.py": "def total(cart):\n    return sum(item.price for item in cart)\n",
}


def said_until(running: "subprocess.Popen[str]", words: str) -> str:
    """What a command says on standard error, up to the line with these words."""
    assert running.stderr is not None
    said = ""
    for line in running.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(said)


@pytest.mark.slow
def test_the_starter_summarizes(tmp_path: Path, starter_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in _FILES.items():
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(text)
    longdesk = CommandLine(tmp_path / "home", starter_gguf)
    out = tmp_path / "out"
    arguments = ("summarize", tmp_path / "code", "--out", out, "--ctx", "1280", "--json")

    running = longdesk.start(*arguments)
    said_until(running, "1 of ")  # the plan is there
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130 and "the same command goes on" in said

    running = longdesk.start(*arguments)
    assert "kept from before" in said_until(running, "2 of ")
    running.kill()
    running.communicate(timeout=PATIENCE_S)

    whole = longdesk(*arguments)
    assert whole.code == 0, whole.err
    assert whole.err.count("kept from before") >= 2
    document = whole.document
    assert document["reading"]["n_once"] == document["reading"]["n_sources"] == len(_FILES)
    assert document["evidence"] or any(
        (each["citation"] or {}).get("status") == "verified"
        for page in document["pages"]
        for section in page["sections"]
        for each in section["statements"]
    )
    assert (out / "index.md").is_file() and (out / "summary.html").is_file()
    assert all((out / f"{page['name']}.md").is_file() == (page["why_not"] == "") for page in document["pages"])
    again = longdesk(*arguments)
    assert again.code == 0 and not any(page["redone"] for page in again.document["pages"])
