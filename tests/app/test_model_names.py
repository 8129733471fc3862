"""What --model takes for a server's address, for a name, and for neither."""

import pytest

from app.connections.named import check_model
from app.models.places import find_plannable
from app.settings import Settings, read_settings
from engine.errors import UsageError


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    return read_settings({"LONGDESK_HOME": str(tmp_path_factory.mktemp("home"))})


@pytest.mark.parametrize(
    "name",
    ["127.0.0.1:8000", "localhost:11434", "gpu-box:8000/v1", "[::1]:8080", "a.example.com:443/api", "ws://h:8000"],
)
def test_an_address_without_its_scheme_is_asked_for_with_it(name: str, settings: Settings) -> None:
    with pytest.raises(UsageError, match="like the address of a server") as refused:
        find_plannable(name, settings)
    assert refused.value.remedy == f"Write http://{name.removeprefix('ws://')}."


@pytest.mark.parametrize("name", ["llama3.2:3b", "qwen2.5:72b", "model:70", "scout:latest"])
def test_a_tag_is_no_port(name: str, settings: Settings) -> None:
    with pytest.raises(UsageError, match="neither the catalogue nor an engine"):
        find_plannable(name, settings)


@pytest.mark.parametrize("name", ["http://h:8000#a b", "http://h#/models/Llama 4.gguf", "http://h/v1#[red]m[/red]"])
def test_the_model_in_an_address_may_have_spaces(name: str) -> None:
    check_model(name)


@pytest.mark.parametrize("name", ["http://h :8000#a", "http://h/a b", "http://h#a\tb", "http://h#a\x1b[31m", "http://"])
def test_an_address_may_not(name: str) -> None:
    with pytest.raises(UsageError):
        check_model(name)
