"""Documents as they are printed."""

import json

import pytest

from app.cli.output import Json, json_text


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"a": []},
        {"total": 1, "sources": [{"path": 'a"b\n\u2028é', "tiles": None}, {"images": [{"n": 1}], "of": {}}]},
        {"text": "[\n", "list": [[], [1, [2]], "x", None, True, 1.5], "nested": {"list": [1, 2]}},
    ],
)
def test_a_document_is_json_with_a_key_and_an_element_a_line(document: Json) -> None:
    text = json_text(document)
    assert json.loads(text) == document
    n_elements = sum(len(value) + 1 for value in document.values() if isinstance(value, list) and value)
    assert len(text.split("\n")) == 2 + max(1, len(document)) + n_elements
