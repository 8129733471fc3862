"""Writing engines into config.toml: what else stands there stays as it is."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from app.connections.keeping import drop_engine, write_engine
from app.connections.named import NamedEngine
from app.settings import engines_in, read_settings
from engine.answer.cost import Prices
from engine.errors import UsageError

OWN = """# mine
reply_tokens = 100   # short ones

[engines.laptop]
# at home
url = "http://127.0.0.1:11434"
"""
OFFICE = NamedEngine(name="office", url="https://office.example/v1", key="keyring", prices=Prices(input=1, output=2.5))


def test_an_engine_is_added_and_the_rest_stays_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(OWN)
    path.chmod(0o640)
    write_engine(path, OFFICE)
    assert path.read_text().startswith(OWN) and path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in engines_in(tmp_path)] == ["laptop", "office"] and engines_in(tmp_path)[1] == OFFICE
    assert read_settings({"LONGDESK_HOME": str(tmp_path)}).reply_tokens == 100
    drop_engine(path, OFFICE)
    assert path.read_text().strip() == OWN.strip() and os.listdir(tmp_path) == ["config.toml"]


def test_an_engine_is_changed_only_where_that_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(OWN)
    laptop = NamedEngine(name="laptop", url="http://127.0.0.1:1234", window=4096)
    with pytest.raises(UsageError, match="There is an engine laptop already"):
        write_engine(path, laptop)
    assert path.read_text() == OWN
    write_engine(path, laptop, replaces=True)
    assert engines_in(tmp_path) == (laptop,) and "# mine" in path.read_text()


@pytest.mark.parametrize(
    "text",
    [
        'engines = { a = { url = "http://a" } }\nreply_tokens = 7\n',
        'engines.a.url = "http://a"\nreply_tokens = 7\n',
        'reply_tokens = 7\n[engines]\na.url = "http://a"\n',
        'reply_tokens = 7\n[engines]\na = { url = "http://a" }\n',
        'reply_tokens = 7\n[engines]\n[engines.a]\nurl = "http://a"\n',
    ],
)
def test_engines_may_stand_in_the_file_in_every_way(tmp_path: Path, text: str) -> None:
    path, a = tmp_path / "config.toml", NamedEngine(name="a", url="http://a")
    path.write_text(text)
    write_engine(path, OFFICE)
    assert engines_in(tmp_path) == (a, OFFICE)
    write_engine(path, replace(a, key="env:A"), replaces=True)
    assert set(engines_in(tmp_path)) == {replace(a, key="env:A"), OFFICE}
    drop_engine(path, a)
    assert engines_in(tmp_path) == (OFFICE,)
    drop_engine(path, OFFICE)
    assert engines_in(tmp_path) == () and read_settings({"LONGDESK_HOME": str(tmp_path)}).reply_tokens == 7


def test_comments_beside_an_engine_stay_when_it_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"{OWN}window = 4096  # or it would be cut\n\n[engines.b]\nurl = 'http://b'\n")
    write_engine(path, NamedEngine(name="laptop", url="http://127.0.0.1:1234", window=8192), replaces=True)
    text = path.read_text()
    assert "# at home" in text and "# or it would be cut" in text and "window = 8192" in text
    assert [each.name for each in engines_in(tmp_path)] == ["laptop", "b"]


def test_the_file_is_made_where_there_is_none_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "home" / "config.toml"
    write_engine(path, OFFICE)
    assert engines_in(tmp_path / "home") == (OFFICE,) and path.stat().st_mode & 0o077 == 0
    drop_engine(path, OFFICE)
    drop_engine(path, OFFICE)
    assert engines_in(tmp_path / "home") == ()


def test_a_file_that_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("model = ")
    with pytest.raises(UsageError, match=r"config\.toml cannot be read"):
        write_engine(path, OFFICE)
    assert path.read_text() == "model = "


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    real, path = tmp_path / "dotfiles.toml", tmp_path / "config.toml"
    real.write_text(OWN)
    path.symlink_to(real)
    write_engine(path, OFFICE)
    assert path.is_symlink() and "office" in real.read_text()
