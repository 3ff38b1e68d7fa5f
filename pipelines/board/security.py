"""What every request and every answer is held to, whichever page it is for."""

import base64
import re
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import sha256
from threading import Lock
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.errors import MinusNineError, place_of

MOST_BYTES = 16 * 1024
"""Of what a form may send."""
FORM = "application/x-www-form-urlencoded"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
ONLY_TLS = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
FAILED = "This cannot be shown now. Tell operations, and try again."
STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def policy(page: str) -> str:
    """The content policy of a page: its own styles by their hashes and images held in it; forms to here; no script."""
    hashes = " ".join(f"'sha256-{_digest(text)}'" for text in STYLE.findall(page)) or "'none'"
    return (
        f"default-src 'none'; style-src {hashes}; img-src data:; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(sha256(text.encode()).digest()).decode()


class TooLargeError(Exception):
    """More was sent than may be."""


class Guard:
    """Around the whole application: refuses what no page should see, adds the headers, and lets no error out.

    A fault that nobody foresaw is told to `complain` by its place alone: its text may quote somebody.
    """

    def __init__(
        self, app: ASGIApp, hosts: Sequence[str], complain: Callable[[str], None], *, only_tls: bool = True
    ) -> None:
        self.app = app
        self.hosts = {host.casefold() for host in hosts}
        self.complain = complain
        self.headers = {**HEADERS, **(ONLY_TLS if only_tls else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._guarded(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def answering(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            if (refusal := self._refusal(scope["method"], Headers(scope=scope))) is not None:
                await _say(answering, *refusal)
            else:
                await self.app(scope, _counted(receive), answering)
        except Exception as error:
            refusal = self._told(error)
            if not begun:
                await _say(answering, *refusal)

    def _told(self, error: Exception) -> tuple[int, str]:
        if isinstance(error, TooLargeError):
            return 413, "Too much was sent."
        foreseen = isinstance(error, MinusNineError)
        self.complain(str(error) if foreseen else f"a request failed that should not: {place_of(error)}")
        return (503 if foreseen else 500), FAILED

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if _name(host) not in self.hosts:
            return 400, "This address is not served here."
        if method in ("GET", "HEAD"):
            return None
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return 413, "Too much was sent."
        if headers.get("content-type", "").partition(";")[0].strip().casefold() != FORM:
            return 415, "Only forms of these pages are taken."
        return (403, "This form did not come from here.") if _from_elsewhere(headers, host) else None


def _from_elsewhere(headers: Headers, host: str) -> bool:
    """Whether a browser says that another site's page sends this. `null` says nothing: our pages send no referrer."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin", "null")
    return origin != "null" and urlsplit(origin).netloc.casefold() != host.casefold()


def _name(host: str) -> str:
    """A host without its port."""
    return re.sub(r":\d+$", "", host).casefold()


def _counted(receive: Receive) -> Receive:
    """What comes in, up to `MOST_BYTES`: a body need not say how long it is."""
    taken = 0

    async def counting() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BYTES:
            raise TooLargeError
        return message

    return counting


async def _say(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


class Limiter:
    """At most so many a minute for each key; keys that have been quiet for a minute are forgotten."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self.most, self.clock, self.lock = most, clock, Lock()
        self.times: dict[str, deque[float]] = {}

    def allows(self, key: str) -> bool:
        with self.lock:
            now = self.clock()
            if len(self.times) > 10_000:
                self.times = {name: seen for name, seen in self.times.items() if seen[-1] > now - 60}
            seen = self.times.setdefault(key, deque())
            while seen and seen[0] <= now - 60:
                seen.popleft()
            if len(seen) >= self.most:
                return False
            seen.append(now)
            return True
