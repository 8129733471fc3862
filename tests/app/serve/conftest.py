"""A corpus, and a server over it that many tests ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import CommandLine
from tests.serving import TOKEN, Serving, serving


def write_corpus(folder: Path) -> Path:
    """Three small files, and beside the folder one that is no part of it."""
    (folder / "src").mkdir(parents=True)
    (folder / "README.md").write_text("# Bridges\n\nThe bridge at Ulm is 42 metres long.\n")
    (folder / "src" / "main.py").write_text("def main():\n    return 42\n")
    (folder / "long.txt").write_text("".join(f"Line {number} of many.\n" for number in range(1, 301)))
    (folder.parent / "secret.txt").write_text("Nobody reads this.\n")
    return folder


@pytest.fixture(scope="module")
def longdesk(tmp_path_factory: pytest.TempPathFactory, llama_gguf: Path) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("serve") / "home", llama_gguf, {"LONGDESK_TOKEN": TOKEN})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("given") / "corpus")


@pytest.fixture(scope="module")
def server(longdesk: CommandLine, corpus: Path) -> Iterator[Serving]:
    with serving(longdesk, corpus, "--max-tokens", 12) as running:
        yield running
