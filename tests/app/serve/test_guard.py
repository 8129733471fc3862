"""Who is let in, without a server: names, addresses and tokens."""

import os
from pathlib import Path

import pytest

from app.serve.guard import is_loopback, is_own_host, token_of
from engine.errors import LongdeskError, UsageError


@pytest.mark.parametrize("header", ["127.0.0.1:8502", "localhost:8502", "LOCALHOST", "[::1]:8502", "127.0.0.1"])
def test_the_loopback_goes_by_its_own_names(header: str) -> None:
    assert is_own_host(header, "127.0.0.1")


@pytest.mark.parametrize(
    "header",
    ["", "rebound.example", "127.0.0.1.rebound.example", "localhost.rebound.example:8502", "192.168.1.4", "[::1", "::1"]
    + ["127.0.0.1@rebound.example", "rebound.example:127.0.0.1", "0.0.0.0", "2130706433"],
)
def test_the_loopback_goes_by_no_other(header: str) -> None:
    assert not is_own_host(header, "127.0.0.1")


def test_elsewhere_addresses_are_own_and_names_of_others_are_not() -> None:
    assert all(is_own_host(header, "0.0.0.0") for header in ("192.168.1.4:8502", "[fe80::1]:8502", "localhost"))
    assert is_own_host("desk.lan:8502", "desk.lan") and is_own_host("Desk.LAN", "desk.lan")
    assert not any(is_own_host(header, "0.0.0.0") for header in ("rebound.example", "desk.lan", ""))


def test_what_only_this_machine_reaches() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.4", "desk.lan", "")))


def test_a_token_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    token, where = token_of(home, {})
    assert len(token) >= 32 and where == str(home / "serve-token")
    assert token_of(home, {}) == (token, where) and token_of(tmp_path / "other", {})[0] != token
    assert os.name == "nt" or (home / "serve-token").stat().st_mode & 0o777 == 0o600


def test_the_environment_s_token_comes_first(tmp_path: Path) -> None:
    given = {"LONGDESK_TOKEN": "given-by-its-user"}
    assert token_of(tmp_path, given) == ("given-by-its-user", "$LONGDESK_TOKEN") and not list(tmp_path.iterdir())
    assert token_of(tmp_path, {"LONGDESK_TOKEN": ""})[1] == str(tmp_path / "serve-token")


@pytest.mark.parametrize("token", ["short", "with spaces in between", "with\nlines-in-between", "tökens-are-of-ascii"])
def test_a_token_that_is_none_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(UsageError, match="at least 16 characters"):
        token_of(tmp_path, {"LONGDESK_TOKEN": token})


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n", b"\xff" * 40])
def test_a_file_that_holds_no_token_is_refused_and_left(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "serve-token").write_bytes(content)
    with pytest.raises(LongdeskError):
        token_of(tmp_path, {})
    assert (tmp_path / "serve-token").read_bytes() == content


def test_a_home_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(LongdeskError, match="cannot be used"):
        token_of(tmp_path / "file", {})
