"""What `up` was told, checked, and on its way to the server."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from app.door.keys import hash_password, is_password
from app.door.setting import Door, door_of
from engine.errors import UsageError

PASSWORD = "correct horse battery"
AUTH = (
    '[auth]\nredirect_uri = "https://desk.example/oauth2callback"\ncookie_secret = "a secret of some length"\n'
    'client_id = "i"\nclient_secret = "s"\nserver_metadata_url = "https://id.example/.well-known/openid-configuration"\n'
)
MEMBERS = '[longdesk]\nmembers = ["Me@desk.example", "@firm.example"]\n'


def door(home: Path, **given: object) -> Door:
    return door_of(home, **{"host": "127.0.0.1", "port": 8501, "environment": {}, **given})  # type: ignore[arg-type]


@pytest.fixture
def secrets(tmp_path: Path) -> Callable[[str], None]:
    def write(content: str, mode: int = 0o600) -> None:
        (tmp_path / "secrets.toml").write_text(content)
        (tmp_path / "secrets.toml").chmod(mode)

    return write


def test_on_the_loopback_a_token_is_enough(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        assert door(tmp_path, host=host).way == "token"
    assert door(tmp_path, names=("desk.example",)).way == "token"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "desk.lan", ""])
def test_beyond_it_it_is_not(tmp_path: Path, host: str) -> None:
    with pytest.raises(UsageError, match="--password-file"):
        door(tmp_path, host=host)


def test_ways_to_give_a_password(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(PASSWORD)
    for given in (
        {"password_file": tmp_path / "file"},
        {"environment": {"LONGDESK_PASSWORD": PASSWORD}},
        {"ask": lambda: PASSWORD},
    ):
        found = door(tmp_path, host="0.0.0.0", **given)
        assert found.way == "password" and is_password(PASSWORD, found.password)
    assert door(tmp_path, ask=lambda: PASSWORD).way == "token"  # nobody is asked where none is needed
    assert door(tmp_path, password_file=tmp_path / "file").way == "password"


@pytest.mark.parametrize("given", [{"ask": lambda: "short"}, {"environment": {"LONGDESK_PASSWORD": "short"}}])
def test_a_short_password_is_refused(tmp_path: Path, given: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="10 characters"):
        door(tmp_path, host="0.0.0.0", **given)


def test_sign_in_is_for_members(tmp_path: Path, secrets: Callable[[str], None]) -> None:
    secrets(AUTH + MEMBERS)
    found = door(tmp_path, host="0.0.0.0")
    assert found.way == "sign-in" and found.members == ("me@desk.example", "@firm.example")
    with pytest.raises(UsageError, match="Both a password and sign-in"):
        door(tmp_path, environment={"LONGDESK_PASSWORD": PASSWORD})


def test_sign_in_with_one_of_several(tmp_path: Path, secrets: Callable[[str], None]) -> None:
    head, _, tail = AUTH.partition("client_id")
    secrets(f'{head}[auth.work]\nclient_id{tail}{MEMBERS}provider = "work"\n')
    assert door(tmp_path).provider == "work"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (AUTH, "who may sign in"),
        (AUTH + "[longdesk]\nmembers = []\n", "who may sign in"),
        (AUTH + '[longdesk]\nmembers = "me@desk.example"\n', "who may sign in"),
        (AUTH + '[longdesk]\nmembers = ["everyone"]\n', "who may sign in"),
        ('[auth]\nredirect_uri = "x"\n' + MEMBERS, "without cookie_secret, client_id"),
        ("auth = 3\n" + MEMBERS, "without redirect_uri"),
        (AUTH + '[longdesk]\nmembers = ["a@b.c"]\nprovider = "cookie_secret"\n', "without client_id"),
        ("longdesk = 3\n" + AUTH, "who may sign in"),
        ("[auth", "cannot be read"),
        ("auth = " + "[" * 5_000, "cannot be read: it is nested too deep"),
        ("auth = " + "9" * 5_000, "cannot be read"),
    ],
)
def test_sign_in_that_is_set_up_wrongly(
    tmp_path: Path, secrets: Callable[[str], None], content: str, match: str
) -> None:
    secrets(content)
    with pytest.raises(UsageError, match=match):
        door(tmp_path)


def test_secrets_that_others_can_read_are_refused(tmp_path: Path, secrets: Callable[..., None]) -> None:
    secrets(AUTH + MEMBERS, 0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        door(tmp_path)
    secrets("[other]\nx = 1\n", 0o644)
    assert door(tmp_path).way == "token"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of its own making, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    make = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    )
    where = ("-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run([*make, *where], check=True, capture_output=True)
    return cert, key


def test_tls_takes_both_files_and_good_ones(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    assert door(tmp_path, certificate=cert, key=key).url == "https://127.0.0.1:8501"
    for given in ({"certificate": cert}, {"key": key}):
        with pytest.raises(UsageError, match="both --tls-cert and --tls-key"):
            door(tmp_path, **given)
    with pytest.raises(UsageError, match="cannot be used for TLS"):
        door(tmp_path, certificate=key, key=cert)


def test_it_comes_to_the_server_as_it_was_and_stays_nowhere() -> None:
    environment = {"LONGDESK_PASSWORD": PASSWORD}
    put = Door(host="0.0.0.0", port=9, names=("a.b",), password=hash_password(PASSWORD), members=("a@b.c",))
    put.put(environment)
    assert PASSWORD not in json.dumps(environment)
    assert Door.taken(9, environment) == put and environment == {}
    assert Door.taken(9, {}) == Door(port=9)
