"""What a browser is told beside what it is sent: a policy, and plain pages that say how to get in.

The policy: everything comes from this server alone. `style-src 'unsafe-inline'`: Streamlit puts its style sheets into
the page as it draws. `script-src blob:`: it loads the script of a component that is given as text from a blob, which
only a script of the page can make. The one script that stands in its page is named by its digest. `data:` and `blob:`
for images: thumbnails, and pictures of what was just chosen.
"""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from app.door.keys import digest_of

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-DNS-Prefetch-Control": "off",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1.2rem;color:#1d1b18;"
    "background:#fbf9f5}code{background:#f2eee5;padding:.1rem .3rem;border-radius:.2rem;overflow-wrap:anywhere}"
    "input,button{font:inherit;padding:.4rem .6rem}input{width:60%}"
    "@media(prefers-color-scheme:dark){body{color:#e6e9eb;background:#1b2228}code{background:#252e36}a{color:#6cc4bd}}"
)


def scripts_in(page: Path) -> tuple[str, ...]:
    """The digests of the scripts that stand in a page of HTML."""
    return tuple(digest_of(script) for script in _SCRIPT.findall(page.read_text(encoding="utf-8")))


def headers_for(host: str, scripts: Sequence[str], *, is_encrypted: bool) -> dict[str, str]:
    """The headers of every response. host: as the browser asked for it; scripts: digests of those in the page."""
    socket = f"{'wss' if is_encrypted else 'ws'}://{host}"  # older browsers do not take a websocket for 'self'
    policy = {
        "default-src": "'self'",
        "script-src": " ".join(("'self'", "blob:", *(f"'{digest}'" for digest in scripts))),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": f"'self' {socket}",
        "media-src": "'self' data: blob:",
        "worker-src": "'self' blob:",
        "frame-src": "'none'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return {"Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()), **_ALWAYS}


def target(path: str, query: str, *, without: str = "") -> str:
    """A path of this server as it can stand in a link: never one of another server. without: a parameter that goes."""
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != without]
    return "/" + quote(path.lstrip("/\\"), safe="/~:@!$&'()*+,;=") + (f"?{urlencode(kept)}" if kept else "")


def going_on(to: str) -> str:
    """Leads on to a path. A page and no redirect: whoever came from elsewhere has its cookies from here on."""
    return _page("Longdesk opens", f'<p>Longdesk opens. <a href="{escape(to)}">Go on</a></p>', goes_to=to)


def how_to_get_in(*, note: str = "") -> str:
    """Where a token is asked for."""
    return _page(
        "Longdesk is locked",
        "<h1>Longdesk is locked</h1>"
        f"<p>{escape(note) or 'This browser has not been let in yet.'}</p>"
        "<p>Open the address that <code>longdesk up</code> has printed where it was started: it ends with "
        "<code>?token=…</code>. The token is also in the file <code>page-token</code> in the folder of Longdesk’s "
        "data. This browser is remembered then.</p>",
    )


def ask_password(to: str, *, note: str = "") -> str:
    """Where a password is asked for. to: where it leads then."""
    return _page(
        "Longdesk is locked",
        f"<h1>Longdesk is locked</h1>{_alert(note)}"
        '<form method="post" action="/door/enter"><p><label for="password">Password</label></p>'
        f'<input type="hidden" name="to" value="{escape(to)}">'
        '<input type="password" id="password" name="password" autocomplete="current-password" required autofocus> '
        "<button>Open</button></form>",
    )


def ask_sign_in(address: str, *, note: str = "") -> str:
    """Where somebody signs in elsewhere. address: where that begins."""
    return _page(
        "Longdesk is locked",
        f'<h1>Longdesk is locked</h1>{_alert(note)}<p><a href="{escape(address)}">Sign in</a></p>',
    )


def _alert(note: str) -> str:
    return f'<p role="alert">{escape(note)}</p>' if note else ""


def _page(title: str, body: str, *, goes_to: str = "") -> str:
    refresh = f'<meta http-equiv="refresh" content="0; url={escape(goes_to)}">' if goes_to else ""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>{refresh}'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )
