"""Engines by name: their tables in config.toml, what is wrong in one, and what an address may hold."""

from pathlib import Path

import pytest

from app.connections.named import NamedEngine, engine_named, named_engines
from app.settings import Settings, read_settings
from engine.answer.cost import Prices
from engine.errors import UsageError

OFFICE = """
model = "office"
[engines.office]
url = "https://office.example:8443/v1/"
model = "meta-llama/Llama-4-Scout-17B-16E-Instruct"
key = "env:OFFICE_KEY"
prices = { input = 0.15, cached = 0.04, output = 1 }
window = 131072
ca_file = "/etc/office.pem"

[engines.laptop]
url = "http://127.0.0.1:11434"
"""


def read(home: Path, text: str) -> Settings:
    (home / "config.toml").write_text(text)
    return read_settings({"LONGDESK_HOME": str(home)})


def test_engines_are_read_in_their_order(tmp_path: Path) -> None:
    settings = read(tmp_path, OFFICE)
    office, laptop = settings.engines
    assert office == NamedEngine(
        name="office",
        url="https://office.example:8443/v1",
        model="meta-llama/Llama-4-Scout-17B-16E-Instruct",
        key="env:OFFICE_KEY",
        prices=Prices(input=0.15, cached=0.04, output=1.0),
        window=131_072,
        ca_file=Path("/etc/office.pem"),
    )
    assert office.variable == "OFFICE_KEY" and office.origin == "https://office.example:8443"
    assert office.address == "https://office.example:8443/v1#meta-llama/Llama-4-Scout-17B-16E-Instruct"
    assert laptop == NamedEngine(name="laptop", url="http://127.0.0.1:11434") and laptop.variable is None
    assert settings.engine() == office and settings.engine("laptop") == laptop and settings.engine("scout") is None
    assert engine_named("laptop", settings.engines) == laptop
    with pytest.raises(UsageError, match="There are office, laptop"):
        engine_named("desk", settings.engines)


def test_a_table_says_again_what_it_was_read_from(tmp_path: Path) -> None:
    for engine in read(tmp_path, OFFICE).engines:
        assert named_engines({engine.name: engine.to_table()}, "x") == (engine,)


def test_a_file_of_an_engines_name_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "office").write_text("GGUF")
    assert read(tmp_path, OFFICE).model == "office"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[engines]\noffice = 3", "is no table"),
        ("[engines.office]", "sets no engines.office.url"),
        ("[engines.office]\nurl = 3", "something else than an address"),
        ("[engines.office]\nurl = 'office:80'", "no address of a server"),
        ("[engines.office]\nurl = 'http://'", "no address of a server"),
        ("[engines.office]\nurl = 'http://host:port'", "is no address"),
        ("[engines.office]\nurl = 'http://a b'", "no address of a server"),
        ("[engines.office]\nurl = 'http://h'\nwindow = 0", "at least 1"),
        ("[engines.office]\nurl = 'http://h'\nwindow = true", "a number of tokens"),
        ("[engines.office]\nurl = 'http://h'\nprices = { input = 1 }", "without input or output"),
        ("[engines.office]\nurl = 'http://h'\nprices = { input = 1, output = 2, reply = 3 }", "prices.reply"),
        ("[engines.office]\nurl = 'http://h'\nprices = { input = '1', output = 2 }", "to no number"),
        ("[engines.office]\nurl = 'http://h'\nprices = { input = -1, output = 2 }", "0 or more"),
        ("[engines.office]\nurl = 'http://h'\nprices = { input = nan, output = 2 }", "0 or more"),
        (
            "[engines.office]\nurl = 'http://h'\ntimeout = 3",
            "engines.office.timeout, which is not known",
        ),
        ("[engines.starter]\nurl = 'http://h'", "name of a model already"),
        ("[engines.scout-q4_k_m]\nurl = 'http://h'", "name of a model already"),
        ("[engines.'a/b']\nurl = 'http://h'", "cannot be the name"),
        ("[engines.'a.gguf']\nurl = 'http://h'", "cannot be the name"),
    ],
)
def test_what_is_wrong_in_a_table_is_said(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, table)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "table",
    [
        "key = 'sk-7777marked7777'",
        "key = 'env:sk-7777marked7777'",
        "key = 'env:'",
        "api_key = 'sk-7777marked7777'",
        "token = 'sk-7777marked7777'",
        "key = ['sk-7777marked7777']",
        "window = 'sk-7777marked7777'",
    ],
)
def test_a_key_that_stands_in_the_file_is_refused_and_not_shown(tmp_path: Path, table: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, f"[engines.office]\nurl = 'http://h'\n{table}\n")
    assert "7777marked7777" not in str(refused.value) and "engine" in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://me:7777marked7777@host:8000",
        "https://7777marked7777@host",
        "http://host:8000?api_key=7777marked7777",
        "http://host:8000/v1?token=7777marked7777#model",
    ],
)
def test_an_address_that_carries_a_key_is_refused_wherever_it_is_given(tmp_path: Path, address: str) -> None:
    for give in (
        lambda: Settings(home=tmp_path, model=address),
        lambda: NamedEngine(name="office", url=address),
        lambda: read(tmp_path, f"model = '{address}'"),
    ):
        with pytest.raises(UsageError) as refused:
            give()
        assert "7777marked7777" not in str(refused.value)


@pytest.mark.parametrize("sign", ["\\u0000", "\\u001b[31m", "\\u202e", "\\u0085", "\\u2067"])
@pytest.mark.parametrize("table", ["[engines.{}]\nwindow = 'x'", "[engines.{}]\nurl = 1", "{} = 1"])
def test_a_name_that_no_screen_shows_is_refused_in_words_that_one_does(tmp_path: Path, table: str, sign: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, table.format(f'"a{sign}b"'))
    assert str(refused.value).isprintable() and "\\" in str(refused.value)
