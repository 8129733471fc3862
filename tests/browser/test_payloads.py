"""What a model writes fetches nothing: by the renderer alone, and by the policy alone. 10,000 of them:
`python -m tests.bench abuse`.

In a process of their own: their browser is another one, for which strange names lead to a listener.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE_S
from tests.payloads import BEYOND_A_POLICY, drawn, payload

pytestmark = pytest.mark.slow
_MANY = 300
_RUN = """
import json, sys
from tests.browser.conftest import ARGUMENTS
from tests.payloads import reached
ways = {way: reached(way, range(int(sys.argv[1])), ARGUMENTS) for way in ("renderer", "policy", "open")}
print(json.dumps({way: [found.heard, n_elements] for way, (found, n_elements) in ways.items()}))
"""


@pytest.fixture(scope="module")
def reached() -> Any:
    """What was heard, and how many elements there were of those that fetch, by each way."""
    command = [sys.executable, "-c", _RUN, str(_MANY)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_the_renderer_alone_lets_nothing_be_fetched(reached: Any) -> None:
    """With no policy: not even a connection."""
    assert reached["renderer"] == [[], 0]


def test_the_policy_alone_lets_nothing_be_fetched(reached: Any) -> None:
    """By a renderer that lets all through. For a frame that is refused then, Chromium connects and asks for nothing."""
    heard, n_elements = reached["policy"]
    n_frames = sum("<iframe" in html for number in range(_MANY) for html, _ in drawn(number, "policy"))
    assert [each for each in heard if each] == [] and len(heard) <= n_frames
    assert n_elements > 0  # they are there


def test_without_both_it_is_fetched_and_heard(reached: Any) -> None:
    """The test of these tests."""
    heard, n_elements = reached["open"]
    assert len([each for each in heard if "evil.test" in each]) > _MANY // 10 and n_elements > 0


def test_no_payload_leads_elsewhere_by_itself_once_it_is_drawn() -> None:
    """What no policy holds, the renderer does."""
    leading = [number for number in range(2_000) if any(each in payload(number) for each in BEYOND_A_POLICY)]
    assert leading
    for number in leading:
        assert all("<meta" not in html for html, _ in drawn(number, "renderer"))
