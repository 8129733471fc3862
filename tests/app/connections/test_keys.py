"""Keys of engines: from the environment, from a keyring, or a sentence on why there is none."""

from collections.abc import Iterator
from dataclasses import replace

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail, null
from keyring.errors import KeyringLocked, PasswordDeleteError

from app.connections.keeping import forget_key, has_key, key_of, store_key
from app.connections.named import NamedEngine
from engine.errors import STANDS_FOR_IT, LongdeskError, UsageError, redacted

KEY = "sk-7777marked7777"
OFFICE = NamedEngine(name="office", url="https://office.example:8443/v1", key="env:OFFICE_KEY")
KEPT = replace(OFFICE, key="keyring")


class InMemory(KeyringBackend):
    """A keyring that works: what a system's does, without a system."""

    priority = 1.0  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.held.pop((service, username), None) is None:
            raise PasswordDeleteError("not there")


class Locked(InMemory):
    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked(f"locked, and holds {KEY}")


@pytest.fixture
def ring() -> Iterator[InMemory]:
    before, ring = keyring.get_keyring(), InMemory()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def test_a_key_comes_from_the_environment() -> None:
    assert key_of(OFFICE, {"OFFICE_KEY": f" {KEY}\n"}) == KEY
    assert key_of(replace(OFFICE, key="")) is None and has_key(replace(OFFICE, key=""))
    with pytest.raises(UsageError, match="OFFICE_KEY, which is not set.*engines key office"):
        key_of(OFFICE, {})
    assert not has_key(OFFICE, {}) and not has_key(OFFICE, {"OFFICE_KEY": " "})


def test_a_key_comes_from_the_keyring_for_the_host_that_it_was_entered_for(ring: InMemory) -> None:
    with pytest.raises(UsageError, match=r"no key of office for https://office\.example:8443\. Enter it"):
        key_of(KEPT)
    store_key(KEPT, f"{KEY}\n")
    assert key_of(KEPT) == KEY and ring.held == {("longdesk", "office https://office.example:8443"): KEY}
    assert key_of(replace(KEPT, url="https://office.example:8443/other")) == KEY
    for other in ("https://elsewhere.example", "http://office.example:8443", "https://office.example"):
        assert not has_key(replace(KEPT, url=other))
    assert forget_key(KEPT) and not forget_key(KEPT) and not ring.held


@pytest.mark.parametrize("backend", [fail.Keyring(), null.Keyring(), Locked()])
def test_without_a_keyring_that_works_the_environment_is_named(backend: KeyringBackend) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(backend)
    try:
        with pytest.raises(UsageError) as refused:
            store_key(KEPT, KEY)
        assert "--key-env VARIABLE" in str(refused.value) and KEY not in str(refused.value)
        with pytest.raises(UsageError) as refused:
            key_of(KEPT)
        assert "keyring" in str(refused.value) and KEY not in str(refused.value)
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize("wrong", ["", "  ", "sk-7777 marked7777", "sk-7777\nmarked7777", "sk-é7777", "k" * 20_000])
def test_what_can_be_no_key_is_refused(ring: InMemory, wrong: str) -> None:
    with pytest.raises(UsageError) as refused:
        store_key(KEPT, wrong)
    assert not ring.held and (not wrong.strip() or wrong not in str(refused.value))


def test_a_key_that_is_in_use_is_in_no_error() -> None:
    key_of(OFFICE, {"OFFICE_KEY": KEY})
    error = LongdeskError(f"The server said: bad key {KEY}.", f"Use another than {KEY}.")
    assert KEY not in str(error) + repr(error) + str(error.args) and STANDS_FOR_IT in error.fact
    key_of(OFFICE, {"OFFICE_KEY": "a/b7777"})
    assert "b7777" not in redacted("quoted a%2Fb7777, plain a/b7777")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET http://me:pass@host:80/v1 failed", f"GET http://{STANDS_FOR_IT}@host:80/v1 failed"),
        ("https://tok3n@host/", f"https://{STANDS_FOR_IT}@host/"),
        ("http://host/v1?a=1&api_key=abc&b=2", f"http://host/v1?a=1&api_key={STANDS_FOR_IT}&b=2"),
        ("{'Authorization': 'Bearer abc.def'}", f"{{'Authorization': 'Bearer {STANDS_FOR_IT}'}}"),
        ("x-api-key: abc", f"x-api-key: {STANDS_FOR_IT}"),
        ("sent Bearer eyJ0eXAi0iJK.V1Qi", f"sent Bearer {STANDS_FOR_IT}"),
    ],
)
def test_what_stands_where_keys_stand_is_not_shown(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "There is no file or folder at src/api_key.py.",
        "The bearer certificates of 2024 are basic information.",
        "http://host:8000/@user/model is no address.",
        "--set token=abc fills in a blank",
        "write to me@host.example",
    ],
)
def test_other_words_stay_as_they_are(text: str) -> None:
    assert redacted(text) == text
