"""By which names a server is asked, and which of them are its own."""

import pytest

from app.door.addresses import checked_names, is_loopback, is_own_host, is_own_origin, url_of
from engine.errors import UsageError


@pytest.mark.parametrize("header", ["127.0.0.1:8502", "localhost:8502", "LOCALHOST", "[::1]:8502", "127.0.0.1"])
def test_the_loopback_goes_by_its_own_names(header: str) -> None:
    assert is_own_host(header, "127.0.0.1")


@pytest.mark.parametrize(
    "header",
    ["", "rebound.example", "127.0.0.1.rebound.example", "localhost.rebound.example:8502", "192.168.1.4", "[::1", "::1"]
    + [
        "127.0.0.1@rebound.example",
        "rebound.example:127.0.0.1",
        "0.0.0.0",
        "2130706433",
        "localhost:x",
        "user@localhost",
        "localhost:99999",
        "127.0.0.1 ",
        "127.1",
    ],
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


def test_a_name_that_is_allowed_is_own_and_what_ends_with_it_is_not() -> None:
    assert is_own_host("desk.example:443", "127.0.0.1", ("desk.example",)) and is_own_host(
        "DESK.example", "127.0.0.1", ("desk.example",)
    )
    assert not is_own_host("evil.desk.example", "127.0.0.1", ("desk.example",))
    assert not is_own_host("desk.example.evil.test", "127.0.0.1", ("desk.example",))


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.test",
        "http://127.0.0.1:8501.evil.test",
        "http://127.0.0.1:9999",
        "file://127.0.0.1:8501",
    ]
    + ["http://127.0.0.1", "chrome-extension://127.0.0.1:8501", "http://[::1", "http://a@127.0.0.1:8501"],
)
def test_an_origin_that_is_another_page(origin: str) -> None:
    assert not is_own_origin(origin, "127.0.0.1:8501")


def test_an_origin_that_is_the_page_s_own() -> None:
    assert is_own_origin("http://127.0.0.1:8501", "127.0.0.1:8501")
    assert is_own_origin("https://desk.example", "Desk.example") and is_own_origin("http://[::1]:1", "[::1]:1")


@pytest.mark.parametrize(
    "name", ["", "*", "*.desk.example", "http://desk.example", "desk.example:8501", "a b", "dé.fr"]
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no name of a host"):
        checked_names((name,))


def test_addresses_as_a_browser_is_given_them() -> None:
    assert checked_names(("Desk.Example", "192.168.1.4")) == ("desk.example", "192.168.1.4")
    assert url_of("0.0.0.0", 1) == "http://127.0.0.1:1" and url_of("::1", 1, scheme="https") == "https://[::1]:1"
