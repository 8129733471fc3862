"""`python -m tests.grown`: how much a fresh process grows at most while it draws pictures, each in a child of its own.

Takes a list as JSON, [file, format, width, height] each, and gives a list: bytes beyond what it had before, the file
not among them, and a digest of the pixels.
"""

import json
import os
import sys
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import numpy
import PIL.Image
import PIL.ImageOps

from engine.corpus.formats.reader import FORMATS
from engine.corpus.source import KeptFile, Skipped


def grown(path: str, file_format: str, width: int, height: int) -> tuple[int, str]:
    """In this process, which does nothing else from then on."""
    data = Path(path).read_bytes()
    draw = next(each.draw for each in FORMATS if each.draw is not None and file_format in each.drawn_from)
    assert draw is not None
    if file_format == "PDF":
        draw("", KeptFile("PDF", data), number=1, width=2, height=2, quick=False)  # its library, and fonts
    else:
        numpy.zeros(1)  # it is loaded: that does not depend on the picture
        small = BytesIO()
        PIL.Image.new("RGB", (8, 8)).save(small, file_format)
        draw("", KeptFile(file_format, small.getvalue()), number=1, width=2, height=2, quick=False)
    Path("/proc/self/clear_refs").write_text("5")  # the most that it ever held is what it holds now
    before = _status("VmRSS")
    drawn = draw("", KeptFile(file_format, data), number=1, width=width, height=height, quick=False)
    assert not isinstance(drawn, Skipped), drawn
    return _status("VmHWM") - before, blake2b(drawn.data, digest_size=8).hexdigest()


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) << 10


def main() -> None:
    found = []
    for path, file_format, width, height in json.load(sys.stdin):
        receiving, sending = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(sending, json.dumps(grown(path, file_format, width, height)).encode())
            os._exit(0)
        os.close(sending)
        with open(receiving, "rb") as pipe:
            found.append(json.loads(pipe.read() or b"null"))
        os.waitpid(pid, 0)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
