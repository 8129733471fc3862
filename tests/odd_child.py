"""A child for test_child: does as it is told, also what it should not. Run as `python -m tests.odd_child IN OUT`."""

import ctypes
import os
import signal
import sys
import time

from engine.child import channel_of_child, offer_to_oom_killer


def main() -> None:
    channel = channel_of_child()
    while (frame := channel.receive()) is not None:
        match frame.fields["do"]:
            case "echo":
                channel.send(frame.fields, frame.payload)
            case "open":  # as the tokenizer's child is told
                os.abort()
            case "exit":
                print("Traceback (most recent call last):", file=sys.stderr)
                print("SomeError: it broke", file=sys.stderr, flush=True)
                os._exit(frame.fields["code"])
            case "assert":
                print("x.cpp:1: GGML_ASSERT(n > 0) failed\nsome other error", file=sys.stderr, flush=True)
                os.abort()
            case "segfault":
                ctypes.string_at(1)
            case "signal":
                os.kill(os.getpid(), frame.fields["signal"])
            case "print":
                sys.stdout.write("\x00\xff garbage " * 10_000)
                sys.stdout.flush()
                channel.send({"printed": True})
            case "half a frame":
                os.write(int(sys.argv[2]), b"\x05\x00\x00")
                os._exit(0)
            case "hang with closed pipes":
                channel.close()
                time.sleep(1e6)
            case "flood":
                for _ in range(frame.fields["times"]):
                    os.write(2, b"word " * 12_800)
                os.write(2, b"\nlast error: it broke\n")
                os._exit(1)
            case "stop":  # as by SIGSTOP from outside
                os.kill(os.getpid(), signal.SIGSTOP)
            case "half a frame, then stop":
                os.write(int(sys.argv[2]), b"\x05\x00\x00")
                os.kill(os.getpid(), signal.SIGSTOP)
            case "sleep":
                time.sleep(1e6)
            case "spin":
                while True:
                    pass
            case "offer":
                offer_to_oom_killer()
                channel.send({})
            case "busy":  # as in a long call into llama.cpp: only the watcher can end it
                channel.end_with_other_side()
                channel.send({})
                time.sleep(1e6)


if __name__ == "__main__":
    main()
