"""The signals that ask a program to end in good order, and the exit code that says which of them it was."""

import signal

CANCELLED, HUNG_UP = 130, 129  # a closed terminal: 128 and the signal's number, as shells write it


def polite_signals() -> tuple[signal.Signals, ...]:
    """Ctrl-C, a polite kill, and a terminal that is closed; but for the last where it is to be outlived, as below
    `nohup`."""
    is_outlived = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM) if is_outlived else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def exit_code(number: int) -> int:
    """Of a program that a signal has ended in good order."""
    return HUNG_UP if number == signal.SIGHUP else CANCELLED
