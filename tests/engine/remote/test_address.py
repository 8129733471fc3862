"""Which server a --model value names, and which key goes with it."""

import pytest

from engine.errors import UsageError
from engine.remote.address import Address, is_address, key_for, read_address


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("http://host:8000", Address("http://host:8000", "http://host:8000/v1")),
        ("http://host:8000/", Address("http://host:8000", "http://host:8000/v1")),
        ("http://host:8000/v1/", Address("http://host:8000", "http://host:8000/v1")),
        ("https://a.b/api/v1#x/y", Address("https://a.b/api", "https://a.b/api/v1", "x/y")),
        ("https://a.b/openai", Address("https://a.b/openai", "https://a.b/openai/v1")),
        ("http://host:8000/v1/models", Address("http://host:8000", "http://host:8000/v1")),
        ("http://host:8000/v1/chat/completions/", Address("http://host:8000", "http://host:8000/v1")),
        ("https://a.b/api/v1/chat/completions#x", Address("https://a.b/api", "https://a.b/api/v1", "x")),
        ("http://host:8000/v1#a b", Address("http://host:8000", "http://host:8000/v1", "a b")),
        ("http://[::1]:80#a%20b", Address("http://[::1]:80", "http://[::1]:80/v1", "a b")),
    ],
)
def test_an_address_is_read(name: str, address: Address) -> None:
    assert is_address(name) and read_address(name) == address


@pytest.mark.parametrize(
    "name",
    ["http://", "http://host:port", "http://host:99999", "http://[::1", "https://me:secret@host/v1", "http://h?key=s"],
)
def test_what_is_no_address_or_holds_a_secret_is_refused_without_it(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_address(name)
    assert "secret" not in str(refused.value) and refused.value.remedy


@pytest.mark.parametrize("name", ["http://::1:8000", "http://fe80::1:2:3/v1", "http://2001:db8::1"])
def test_an_ipv6_address_wants_its_brackets(name: str) -> None:
    with pytest.raises(UsageError, match=r"wants brackets. Write it as http://\[::1\]:port"):
        read_address(name)


@pytest.mark.parametrize("name", ["scout.gguf", "scout", "/models/http.gguf", "httpx://a"])
def test_a_file_or_a_name_is_no_address(name: str) -> None:
    assert not is_address(name)


def test_openais_key_is_not_sent_in_the_clear_and_the_own_one_goes_first() -> None:
    own, openai = {"LONGDESK_API_KEY": "own"}, {"OPENAI_API_KEY": "other"}
    assert key_for("http://far:8000/v1", own | openai) == "own" == key_for("https://far/v1", own | openai)
    assert key_for("http://far:8000/v1", openai) is None
    assert key_for("http://127.0.0.1:8000/v1", openai) == key_for("https://far/v1", openai) == "other"
    assert key_for("https://far/v1", {"LONGDESK_API_KEY": " "}) is None


@pytest.mark.parametrize("key", ["sk-\u00fcnicode", "sk with blanks", "sk\r\nHeader: x", "sk\x1b[0m", "x" * 20_000])
@pytest.mark.parametrize("variable", ["LONGDESK_API_KEY", "OPENAI_API_KEY"])
def test_what_no_header_carries_is_refused_and_not_shown(key: str, variable: str) -> None:
    with pytest.raises(UsageError, match=f"The key in {variable} has signs") as refused:
        key_for("https://far/v1", {variable: key})
    assert key not in str(refused.value)
