"""`longdesk serve` in a process of its own, as editors and scripts meet it."""

import asyncio
import re
import subprocess
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from threading import Thread
from typing import Any, TypeVar

import httpx2
from openai import OpenAI

from tests.command_line import CommandLine
from tests.patience import PATIENCE_S

TOKEN = "a-token-of-this-test-alone"

Result = TypeVar("Result")


@dataclass
class Serving:
    """A server that runs. said: what it has written to standard error."""

    process: subprocess.Popen[str]
    url: str = ""
    said: list[str] = field(default_factory=list)

    def openai(self, token: str = TOKEN) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=token, timeout=PATIENCE_S, max_retries=0)

    def http(self, token: str | None = TOKEN) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=PATIENCE_S)

    @cached_property
    def client(self) -> OpenAI:
        """The one that most tests ask with: making one takes longer than a tiny model's answer."""
        return self.openai()

    @cached_property
    def model(self) -> str:
        return self.client.models.list().data[0].id


@contextmanager
def serving(longdesk: CommandLine, *arguments: object) -> Iterator[Serving]:
    """A server on a port that is free, from its first word on until it has ended by itself after a polite kill."""
    process = longdesk.start("serve", *arguments, "--port", 0)
    server = Serving(process)
    assert process.stderr is not None
    for line in process.stderr:
        server.said.append(line)
        if found := re.search(r"(http://\S+)/v1", line):
            server.url = found[1]
        if "The token is in" in line:
            break
    assert server.url, server.said
    rest = Thread(target=lambda: server.said.extend(process.stderr or ()))
    rest.start()
    try:
        yield server
    finally:
        server.client.close()
        process.terminate()
        code = process.wait(PATIENCE_S)
        rest.join(PATIENCE_S)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    assert code == 0 and "Traceback" not in "".join(server.said), server.said


def run_apart(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """What a coroutine comes to, in a thread of its own: a browser's tests leave an event loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
