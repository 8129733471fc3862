"""A session's limit of tiles, from the command line."""

from pathlib import Path

import pytest

from tests.command_line import CommandLine


@pytest.fixture
def longdesk(tmp_path: Path, llama_gguf: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", llama_gguf)


@pytest.mark.slow  # 8.1 s
def test_a_session_keeps_its_limit_until_it_is_given_another(longdesk: CommandLine, tmp_path: Path) -> None:
    def limit_of(session: str) -> int:
        return int(longdesk("sessions", "show", session, "--json").document["max_tiles"])

    (tmp_path / "note.txt").write_text("A note.")
    ask = ("-q", "Q", "--max-tokens", 2, "--json")
    session = longdesk("ask", tmp_path / "note.txt", "--max-tiles", 3, *ask).answer["session"]
    assert limit_of(session) == 3
    (tmp_path / "home" / "config.toml").write_text("max_tiles = 6\n")
    longdesk("ask", "--session", session, *ask)
    assert limit_of(session) == 3
    longdesk("ask", "--session", session, "--max-tiles", 2, *ask)
    assert limit_of(session) == 2
    assert limit_of(longdesk("ask", tmp_path / "note.txt", *ask).answer["session"]) == 6
