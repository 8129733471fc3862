"""What lets someone in: tokens, tickets and passwords."""

import os
from pathlib import Path

import pytest

from app.door.keys import (
    PAGE_FILE,
    SERVE_FILE,
    Tickets,
    Tries,
    hash_password,
    is_password,
    is_same,
    read_password,
    token_of,
)
from engine.errors import LongdeskError, UsageError

PASSWORD = "correct horse battery"


def test_a_token_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    token, where = token_of(home, SERVE_FILE, {})
    assert len(token) >= 32 and where == str(home / "serve-token")
    assert token_of(home, SERVE_FILE, {}) == (token, where) and token_of(tmp_path / "other", SERVE_FILE, {})[0] != token
    assert os.name == "nt" or (home / "serve-token").stat().st_mode & 0o777 == 0o600


def test_the_environment_s_token_comes_first(tmp_path: Path) -> None:
    given = {"LONGDESK_TOKEN": "given-by-its-user"}
    assert token_of(tmp_path, SERVE_FILE, given) == ("given-by-its-user", "$LONGDESK_TOKEN") and not list(
        tmp_path.iterdir()
    )
    assert token_of(tmp_path, SERVE_FILE, {"LONGDESK_TOKEN": ""})[1] == str(tmp_path / "serve-token")


@pytest.mark.parametrize("token", ["short", "with spaces in between", "with\nlines-in-between", "tökens-are-of-ascii"])
def test_a_token_that_is_none_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(UsageError, match="at least 16 characters"):
        token_of(tmp_path, SERVE_FILE, {"LONGDESK_TOKEN": token})


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n", b"\xff" * 40])
def test_a_file_that_holds_no_token_is_refused_and_left(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "serve-token").write_bytes(content)
    with pytest.raises(LongdeskError):
        token_of(tmp_path, SERVE_FILE, {})
    assert (tmp_path / "serve-token").read_bytes() == content


def test_a_home_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(LongdeskError, match="cannot be used"):
        token_of(tmp_path / "file", SERVE_FILE, {})


def test_the_page_s_token_is_another_one_and_no_variable_stands_for_it(tmp_path: Path) -> None:
    page, _ = token_of(tmp_path, PAGE_FILE)
    assert page != token_of(tmp_path, SERVE_FILE, {})[0] and (tmp_path / PAGE_FILE).read_text().strip() == page


def test_a_ticket_holds_over_a_restart_until_its_time_is_over() -> None:
    now = [1_000.0]
    ticket, seconds = Tickets("secret", port=8501, now=lambda: now[0]).issue()
    again = Tickets("secret", port=8501, now=lambda: now[0])
    assert again.holds(ticket)
    now[0] += seconds + 1
    assert not again.holds(ticket)


@pytest.mark.parametrize(
    "other", [Tickets("another", port=8501), Tickets("secret", port=8502), Tickets("secret", "scrypt$x", port=8501)]
)
def test_a_ticket_of_another_key_home_or_port_is_none(other: Tickets) -> None:
    ticket, _ = Tickets("secret", port=8501).issue()
    assert not other.holds(ticket)


@pytest.mark.parametrize(
    "ticket", ["", ".", "9999999999", "9999999999.", "9999999999.AAAA", "²²²²²²²²²².x", "1e99.x", "-1.x"]
)
def test_what_nobody_issued_is_no_ticket(ticket: str) -> None:
    assert not Tickets("secret", port=8501).holds(ticket)


def test_a_ticket_whose_time_was_changed_is_none() -> None:
    tickets = Tickets("secret", port=8501)
    until, _, signature = tickets.issue()[0].partition(".")
    assert not tickets.holds(f"{int(until) + 1}.{signature}") and not tickets.holds(f"0{until}.{signature}")


def test_a_password_is_known_by_a_salted_hash() -> None:
    hashed = hash_password(PASSWORD)
    assert hashed.startswith("scrypt$15$8$1$") and PASSWORD not in hashed and hashed != hash_password(PASSWORD)
    assert is_password(PASSWORD, hashed)
    assert not any(
        is_password(each, hashed) for each in ("", PASSWORD + " ", PASSWORD.upper(), "x" * 1_000_000, "\ud800")
    )


@pytest.mark.parametrize("password", ["", "short", "x" * 2_000])
def test_a_password_that_is_soon_guessed_is_refused(password: str) -> None:
    with pytest.raises(UsageError, match="10 characters"):
        hash_password(password)


def test_a_password_s_file_holds_it_or_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\r\nmore\n")
    assert is_password(PASSWORD, hashed := read_password(file))
    file.write_text(hashed)
    assert read_password(file) == hashed


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"short\n",
        b"\xff" * 40,
        b"scrypt$",
        b"scrypt$99$8$1$AAAAAAAAAAA=$AAAA",
        b"scrypt$15$9999$1$AA==$AA==",
    ],
)
def test_a_password_s_file_that_holds_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(UsageError):
        read_password(tmp_path / "password")


def test_tries_are_few_from_one_place_and_not_many_from_all() -> None:
    now = [0.0]
    tries = Tries(lambda: now[0])
    assert [tries.wait_s("192.0.2.1") for _ in range(Tries.MOST_HERE)] == [0.0] * Tries.MOST_HERE
    assert tries.wait_s("192.0.2.1") == 60.0 and tries.wait_s("192.0.2.2") == 0.0
    now[0] = 61.0
    assert tries.wait_s("192.0.2.1") == 0.0
    others = [tries.wait_s(f"198.51.100.{each}") for each in range(100)]
    assert others.count(0.0) == Tries.MOST - 1 and others[-1] > 0


def test_tries_of_one_network_of_the_new_kind_are_from_one_place_and_a_right_one_is_forgiven() -> None:
    tries = Tries(lambda: 0.0)
    for each in range(Tries.MOST_HERE):
        tries.wait_s(f"2001:db8::{each:x}")
    assert tries.wait_s("2001:db8::ffff") > 0 and tries.wait_s("2001:db8:1::1") == 0.0
    tries.forgive("2001:db8::1")
    assert tries.wait_s("2001:db8::2") == 0.0


def test_secrets_that_no_header_may_hold_are_compared_too() -> None:
    assert is_same("ä\ud800", "ä\ud800") and not is_same("ä", "a")
