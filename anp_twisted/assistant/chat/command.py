"""The command C{anp-chat}: options in, a conversation out."""

from __future__ import annotations

import argparse
import os
import random
import secrets
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from anp_twisted import __version__
from anp_twisted.assistant.chat.chat import Means
from anp_twisted.assistant.chat.program import FAILED, STOPPED, Conversation, Errand, Wish
from anp_twisted.assistant.chat.screen import Terminal
from anp_twisted.assistant.keyring import OWN_FILE
from anp_twisted.auth.tokens import FileToken, FixedToken, TokenSource, token_path
from anp_twisted.errors import ANPError, SettingsError
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.transports.addresses import GatewayAddress, parse_gateway

_EPILOG: Final = """\
Without TEXT it is a conversation where the input is a terminal; what is piped in is one message.
The token is ANP_TOKEN, or in the file of --token-file (ANP_TOKEN_FILE), or in assistant.token of --state-dir.
It ends with 0 after a complete answer, 1 without one, 2 for wrong options, and 130 when it was stopped.
"""

_LONGEST_INPUT = 1 << 20


def parser() -> argparse.ArgumentParser:
    """Make what reads the options."""
    made = argparse.ArgumentParser(
        prog="anp-chat",
        description="Talk to the assistant behind an anp-assistant gateway.",
        epilog=_EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("text", nargs="*", metavar="TEXT", help="what to say; without it, see below")
    add("--url", metavar="URL", help="of the gateway; default ws://127.0.0.1:8080/ws [ANP_ASSISTANT_URL]")
    add("--session", metavar="NAME", default="main", help="which conversation; default main")
    add(
        "--mode",
        choices=("auto", "fast", "single", "multi"),
        default="auto",
        help="how much thought the answer is worth",
    )
    add("--token-file", metavar="FILE", help="where the token is [ANP_TOKEN_FILE]")
    add("--state-dir", metavar="DIR", help="of a gateway on this machine; default anp-state [ANP_STATE_DIR]")
    add("--ca-file", metavar="FILE", help="PEM certificates to trust instead of the system's [ANP_CA_FILE]")
    add("--insecure", action="store_true", help="for laboratories: allows ws:// to other machines, in the clear")
    look = made.add_mutually_exclusive_group()
    look.add_argument("--sessions", action="store_true", help="list the sessions")
    look.add_argument("--history", metavar="COUNT", nargs="?", const=20, type=int, help="show the last messages")
    look.add_argument("--delete", action="store_true", help="delete the session")
    look.add_argument("--link", action="store_true", help="print a link that opens the chat page once")
    look.add_argument("--channels", action="store_true", help="list the channels (operator)")
    look.add_argument("--pairings", action="store_true", help="list who waits to be let in, and who was (operator)")
    look.add_argument("--approve", metavar="CODE", help="let somebody in who was told this code (operator)")
    look.add_argument("--reject", metavar="CODE", help="do not let somebody in (operator)")
    add("--version", action="version", version=f"anp-chat {__version__}")
    return made


def address_of(text: str, *, insecure: bool) -> GatewayAddress:
    """
    Read the address of a gateway, also as the address of its chat page.

    @raise SettingsError: it is none.
    """
    parts = urlsplit(text)
    if parts.scheme in ("http", "https"):
        path = f"{parts.path.rstrip('/')}/ws"
        text = urlunsplit((parts.scheme.replace("http", "ws"), parts.netloc, path, parts.query, ""))
    return parse_gateway(text, insecure=insecure)


def page_of(address: GatewayAddress) -> str:
    """
    @return: the address of the chat page beside a WebSocket.
    """
    return f"http{address.url.removeprefix('ws').removesuffix('/ws')}/"


def token_of(given: argparse.Namespace, environment: Mapping[str, str]) -> TokenSource:
    """
    Find out where the token is. An option goes before the environment.

    @raise CredentialError: what is given is no token.
    """
    if given.token_file is None and environment.get("ANP_TOKEN"):
        return FixedToken(environment["ANP_TOKEN"])
    path = given.token_file or environment.get("ANP_TOKEN_FILE")
    state_dir = given.state_dir or environment.get("ANP_STATE_DIR") or "anp-state"
    return FileToken(path or token_path(state_dir, OWN_FILE))


def wish_of(given: argparse.Namespace, address: GatewayAddress, piped: Callable[[], str | None]) -> Wish:
    """
    Find out what is wanted.

    @param piped: reads the standard input where it is no terminal.
    @raise SettingsError: it is empty.
    """
    flags = ("sessions", "delete", "link", "channels", "pairings", "approve", "reject")
    look = next((name for name in flags if getattr(given, name)), "")
    text = " ".join(given.text) or None
    if given.history is not None:
        look = "history"
    elif not look and text is None:
        text = piped()
        if text == "":
            raise SettingsError("there is nothing to say")
    count = max(1, min(200, given.history or 1))
    code = given.approve or given.reject or ""
    return Wish(
        session=given.session, text=text, look=look, code=code, count=count, mode=given.mode, page=page_of(address)
    )


def _piped() -> str | None:
    """Read what is piped in; C{None} where somebody sits at a terminal."""
    if sys.stdin is None or sys.stdin.isatty():
        return None
    return sys.stdin.buffer.read(_LONGEST_INPUT).decode("utf-8", "replace").strip()


def _write(stream: Any) -> Callable[[str], None]:
    """Make what writes at once; who reads no more ends the program."""

    def write(text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except BrokenPipeError:
            os._exit(FAILED)

    return write


def _means(reactor: Any, address: GatewayAddress, token: TokenSource, ca_file: str | None) -> Means:
    from anp_twisted.assistant.chat.link import dial
    from anp_twisted.transports.proxies import proxy_of
    from anp_twisted.transports.ways import gateway_endpoint

    endpoint = gateway_endpoint(reactor, address, ca_file=ca_file, proxy=proxy_of(address, None, os.environ))
    return Means(
        dial=lambda listener: dial(endpoint, address.url, listener, clock=reactor, limits=DEFAULT_LIMITS),
        token=token.read,
        clock=reactor,
        new_key=lambda: secrets.token_hex(16),
        draw=random.random,  # noqa: TID251 - where randomness comes in
        limits=DEFAULT_LIMITS,
    )


class _Run:
    """The program in its reactor."""

    def __init__(self, reactor: Any, wish: Wish, means: Means) -> None:
        self.status = FAILED
        self._over = False
        self._reactor = reactor
        seen = sys.stderr.isatty()
        shared = seen and sys.stdout.isatty()
        screen = Terminal(_write(sys.stdout), _write(sys.stderr), colours=seen, shared=shared)
        self._task: Errand | Conversation
        talking = wish.text is None and not wish.look
        self._task = Conversation(wish, screen, means) if talking else Errand(wish, screen, means)
        reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        from twisted.internet.defer import Deferred
        from twisted.internet.stdio import StandardIO

        signal.signal(signal.SIGINT, lambda number, frame: self._reactor.callFromThread(self._interrupted))
        if isinstance(self._task, Conversation):
            StandardIO(self._task, reactor=self._reactor)
            ending = self._task.ended
        else:
            ending = Deferred.fromCoroutine(self._task.run())
        ending.addBoth(self._ended)

    def _interrupted(self) -> None:
        """An answer is stopped; where there is none, the program is."""
        if not self._task.interrupt():
            self._ended(STOPPED)

    def _ended(self, status: Any) -> None:
        """Stop; what comes of stopping, such as the end of the input, is no other end."""
        if self._over:
            return
        self._over = True
        if isinstance(status, int):
            self.status = status
        else:
            # boundary: the program itself.
            sys.stderr.write(f"anp-chat: {status.value}\n")
        if self._reactor.running:
            self._reactor.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run the program.

    @raise SystemExit: always, with its status.
    """
    from anp_twisted.eventloop import install_reactor

    given = parser().parse_args(arguments)
    install_reactor()
    from twisted.internet import reactor

    try:
        url = given.url or os.environ.get("ANP_ASSISTANT_URL") or "ws://127.0.0.1:8080/ws"
        address = address_of(url, insecure=given.insecure)
        token = token_of(given, os.environ)
        token.read()
        ca_file = given.ca_file or os.environ.get("ANP_CA_FILE")
        run = _Run(reactor, wish_of(given, address, _piped), _means(reactor, address, token, ca_file))
    except ANPError as error:
        sys.stderr.write(f"anp-chat: {error}\n")
        sys.exit(2)
    reactor.run()
    sys.exit(run.status)


if __name__ == "__main__":
    main()
