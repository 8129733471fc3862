"""A stub of a hosted API, in OpenRouter's wire format as published: no model is behind it, and it is called a stub.

GET /models with prices as in https://openrouter.ai/docs/api-reference/list-available-models; POST /chat/completions as
a stream with its usage at the end; 401 without the right key. It keeps what it was sent, and can do everything wrong
that the page has a sentence for.
"""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

MODEL = "meta-llama/llama-4-scout"
LISTED: Mapping[str, Any] = {
    "id": MODEL,
    "name": "Meta: Llama 4 Scout",
    "created": 1743881519,
    "context_length": 327_680,
    "architecture": {"modality": "text+image->text", "input_modalities": ["text", "image"], "tokenizer": "Llama4"},
    "pricing": {"prompt": "0.00000008", "completion": "0.0000003", "request": "0", "image": "0",
                "input_cache_read": "0.00000002"},
    "top_provider": {"context_length": 327_680, "max_completion_tokens": 16_384, "is_moderated": False},
}  # fmt: skip


@dataclass(slots=True)
class HostedStub:
    """key: that is wanted, None for none. models: as they are listed; None answers with a web page. cached: tokens of a
    prompt that it says were in its cache. words: of its reply. echoes_key: its refusal says the key that it got."""

    key: str | None = None
    models: list[Mapping[str, Any]] | None = field(default_factory=lambda: [LISTED])
    cached: int = 0
    words: tuple[str, ...] = ("So", " it", " is", ".")
    echoes_key: bool = True
    prompt_tokens: int = 1000
    breaks: str = ""  # "refuses": 500 that says all that it was sent; "midway": the stream ends before its end
    asked: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(stub: HostedStub, *, certificate: Path | None = None) -> Iterator[HostedStub]:
    """Serves it on a free port. certificate: a PEM file with its key, for https."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *told: Any) -> None:
            """Nothing: a test's output is the test's."""

        def do_GET(self) -> None:
            if stub.models is None:
                self.say(200, b"<!doctype html><title>Hello</title>", "text/html")
            elif self.is_let_in():
                is_list = self.path.endswith("/models")
                self.say(
                    *(200, json.dumps({"data": stub.models})) if is_list else (404, '{"error": {"message": "no"}}')
                )

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self.is_let_in():
                return
            if not self.path.endswith("/chat/completions"):
                self.say(404, '{"error": {"message": "no such call"}}')
                return
            stub.asked.append(body)
            if stub.breaks == "refuses":
                self.say(500, json.dumps({"error": {"message": f"crashed on {dict(self.headers)}"}}))
                return
            pieces = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in stub.words]
            usage = {
                "prompt_tokens": stub.prompt_tokens,
                "completion_tokens": len(stub.words),
                "prompt_tokens_details": {"cached_tokens": stub.cached},
            }
            ended = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            events = [*pieces, ended, {"choices": [], "usage": usage}]
            lines = [
                f"data: {json.dumps({'id': 'stub', 'object': 'chat.completion.chunk', **each})}\n\n" for each in events
            ]
            if stub.breaks == "midway":
                self.say(200, "".join(lines[:2]), "text/event-stream")
                return
            self.say(200, "".join([": OPENROUTER PROCESSING\n\n", *lines, "data: [DONE]\n\n"]), "text/event-stream")

        def is_let_in(self) -> bool:
            sent = self.headers["Authorization"]
            stub.authorizations.append(sent)
            if stub.key is None or sent == f"Bearer {stub.key}":
                return True
            said = f"No auth credentials found: {sent}" if stub.echoes_key else "No auth credentials found"
            self.say(401, json.dumps({"error": {"message": said, "code": 401}}))
            return False

        def say(self, status: int, body: str | bytes, kind: str = "application/json") -> None:
            data = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *told: None  # type: ignore[method-assign] # a client that leaves is none of a test's output
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    stub.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}/api/v1"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, which no system trusts: as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stub")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "stub.pem"
    own = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(own + made.public_bytes(serialization.Encoding.PEM))
    return path
