"""What lets someone in: a token of the home, tickets that a browser keeps for it, and passwords."""

import base64
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import scrypt, sha256
from ipaddress import ip_address, ip_network
from pathlib import Path
from threading import Lock

from engine.errors import MAKE_ROOM, LongdeskError, UsageError, is_full, why
from engine.kept_files import write_whole

TOKEN_VARIABLE = "LONGDESK_TOKEN"
PASSWORD_VARIABLE = "LONGDESK_PASSWORD"
SERVE_FILE, PAGE_FILE = "serve-token", "page-token"
LEAST_PASSWORD = 10  # characters
_LEAST = 16  # characters of a token
_LONGEST = 1_024  # bytes of a password
_TICKET_S = 90 * 24 * 3600
_COST, _BLOCK, _LANES = 15, 8, 1  # of scrypt: 32 MiB and a tenth of a second for each try
_MOST_COST = 20


class TokenUnkept(LongdeskError):
    """The disk is full, and no token was kept before."""


def token_of(home: Path, file: str, environment: Mapping[str, str] | None = None) -> tuple[str, str]:
    """The token, and where it can be read: LONGDESK_TOKEN of the environment where one is given, else a file of the
    home, made where it is not there yet.

    Raises UsageError for one that could be guessed or sent by no client, LongdeskError where no file can be written,
    TokenUnkept where the disk is full.
    """
    if environment is not None and (given := environment.get(TOKEN_VARIABLE)):
        return _checked(given, f"${TOKEN_VARIABLE}"), f"${TOKEN_VARIABLE}"
    path = home / file
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            with suppress(FileExistsError):
                write_whole(path, f"{new_token()}\n".encode(), replaces=False)
        return _checked(path.read_text(encoding="ascii").strip(), str(path)), str(path)
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and is_full(error):
            remedy = f"{MAKE_ROOM} Or set {TOKEN_VARIABLE}." if environment is not None else MAKE_ROOM
            raise TokenUnkept(f"{path} cannot be written: {why(error)}.", remedy) from None
        remedy = f"Mend it, or set {TOKEN_VARIABLE}." if environment is not None else "Mend it."
        raise LongdeskError(f"{path} cannot be used: {error}.", remedy) from None


def new_token() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(32)


def _checked(token: str, where: str) -> str:
    if len(token) < _LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"The token in {where} is not one.", f"It has at least {_LEAST} characters of ASCII, without spaces."
        )
    return token


def is_same(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8", "replace"))


class Tickets:
    """What a browser keeps as a cookie once it has shown a key. They hold over restarts, for 90 days, until the key is
    another one. secret: what only this home knows; key: what was asked for to get in, a password's hash or nothing."""

    def __init__(self, secret: str, key: str = "", *, port: int, now: Callable[[], float] = time.time) -> None:
        self._secret = hmac.digest(secret.encode(), f"longdesk page ticket\0{port}\0{key}".encode(), "sha256")
        self._now = now

    def issue(self) -> tuple[str, int]:
        """A new one, and how many seconds it holds."""
        until = str(int(self._now()) + _TICKET_S)
        return f"{until}.{self._signature(until)}", _TICKET_S

    def holds(self, ticket: str) -> bool:
        until, _, signature = ticket.partition(".")
        is_ours = is_same(signature, self._signature(until))
        return is_ours and until.isascii() and until.isdigit() and int(until) > self._now()

    def _signature(self, until: str) -> str:
        made = hmac.digest(self._secret, until.encode("utf-8", "replace"), "sha256")
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def hash_password(password: str) -> str:
    """What a password is checked by: "scrypt$15$8$1$SALT$HASH". Raises UsageError for one that is soon guessed."""
    if len(password) < LEAST_PASSWORD or len(password.encode("utf-8", "replace")) > _LONGEST:
        raise UsageError(
            "The password is not one.", f"It has {LEAST_PASSWORD} characters at least, and 1,024 bytes at most."
        )
    salt = secrets.token_bytes(16)
    made = _Hash(_COST, _BLOCK, _LANES, salt, _derived(password, salt, _COST, _BLOCK, _LANES))
    return "$".join(("scrypt", *map(str, (made.cost, made.block, made.lanes)), _text(made.salt), _text(made.digest)))


def is_password(password: str, hashed: str) -> bool:
    """Whether a password is the one that was hashed. Takes a tenth of a second, right or wrong."""
    known = _parsed(hashed)
    if len(password.encode("utf-8", "replace")) > _LONGEST:
        return False
    return hmac.compare_digest(_derived(password, known.salt, known.cost, known.block, known.lanes), known.digest)


def read_password(path: Path) -> str:
    """The hash of the password on a file's first line; a line that is such a hash stands for itself.

    Raises UsageError for what holds none.
    """
    try:
        with path.open(encoding="utf-8") as file:
            line = file.readline(2 * _LONGEST).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", "Its first line is the password.") from None
    if line.startswith("scrypt$"):
        _parsed(line)
        return line
    return hash_password(line)


@dataclass(frozen=True, slots=True)
class _Hash:
    cost: int
    block: int
    lanes: int
    salt: bytes
    digest: bytes


def _parsed(hashed: str) -> _Hash:
    with suppress(ValueError):
        kind, cost, block, lanes, salt, digest = hashed.split("$")
        known = _Hash(int(cost), int(block), int(lanes), _bytes(salt), _bytes(digest))
        is_sound = 10 <= known.cost <= _MOST_COST and (known.block, known.lanes) == (_BLOCK, _LANES)
        if kind == "scrypt" and is_sound and len(known.salt) >= 8 and len(known.digest) == 32:
            return known
    raise UsageError("The hash of the password is not one.", "It looks like scrypt$15$8$1$SALT$HASH.")


def _derived(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    most = 128 * block * ((1 << cost) + lanes + 2) + (1 << 20)
    return scrypt(password.encode("utf-8", "replace"), salt=salt, n=1 << cost, r=block, p=lanes, maxmem=most, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


class Tries:
    """How often a password may be tried: a few times a minute from one place, and not many times from all of them."""

    MOST_HERE, MOST, SPAN_S = 5, 60, 60.0
    _MOST_PLACES = 10_000

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._lock = now, Lock()
        self._places: OrderedDict[str, list[float]] = OrderedDict()
        self._all: list[float] = []

    def wait_s(self, address: str) -> float:
        """How long nothing is tried from this address; 0.0 where it may be, and that is counted as a try."""
        place, now = _place(address), self._now()
        with self._lock:
            here = self._recent(self._places.pop(place, []), now)
            self._all = self._recent(self._all, now)
            self._places[place] = here
            while len(self._places) > self._MOST_PLACES:
                self._places.popitem(last=False)
            for tries, most in ((here, self.MOST_HERE), (self._all, self.MOST)):
                if len(tries) >= most:
                    return tries[-most] + self.SPAN_S - now
            here.append(now)
            self._all.append(now)
            return 0.0

    def forgive(self, address: str) -> None:
        """The password was right."""
        with self._lock:
            self._places.pop(_place(address), None)

    def _recent(self, tries: list[float], now: float) -> list[float]:
        return [each for each in tries if each > now - self.SPAN_S]


def _place(address: str) -> str:
    """All of a household: one IPv6 network has more addresses than there are tries."""
    with suppress(ValueError):
        if ip_address(address).version == 6:
            return str(ip_network(f"{address}/64", strict=False))
    return address


def digest_of(text: str) -> str:
    """What a policy names a script by that stands in a page."""
    return "sha256-" + base64.b64encode(sha256(text.encode()).digest()).decode()
