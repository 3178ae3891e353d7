"""
The command C{anp-proxy}.

It starts what C{twistd anp-gateway}, C{anp-receiver} and C{anp-both} start, with
the options and the settings file that existing deployments have, in the
foreground or as a daemon on C{twistd}'s own pid file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from anp_twisted import __version__
from anp_twisted.cli.daemon import Daemon
from anp_twisted.cli.invocation import Invocation, read
from anp_twisted.errors import SettingsError

_TOOLS: Final = ("did", "token", "route")
"""Commands that are modules of this folder."""

_HELP: Final = """\
anp-proxy: publish an application behind NAT, by a gateway and a receiver.

  anp-proxy [OPTIONS]            run in the foreground
  anp-proxy start [OPTIONS]      run as a daemon
  anp-proxy stop|restart|reload|status|logs [OPTIONS]
                                 end it, end and start it, let it read its settings again,
                                 say whether it runs, show its log
  anp-proxy did|token|route …    make DIDs, tokens of receivers, and routes: see --help of each

Options
  --mode gateway|receiver|both   what to run; the settings file says, else gateway
  -c, --config FILE              TOML file with settings
  --gateway-host ADDRESS         where the gateway listens
  --gateway-port PORT            its public port
  --wss-port PORT                a second port, for receivers only
  --gateway-url URL              the gateway of a receiver; repeatable
  --local-app MODULE:ATTR        the application; repeatable with paths
  --log-level DEBUG|INFO|WARNING|ERROR|CRITICAL
  --debug                        the same as --log-level DEBUG
  --pidfile FILE                 of the daemon (default: anp-MODE.pid)
  --lines NUMBER, -f             of logs: how many of the last lines, and go on
  --version, --help

Every option of twistd anp-gateway, anp-receiver and anp-both is an option here, too: see
twistd anp-gateway --help. A setting of the command line goes before one of the environment
(ANP_…), that before the settings file.
"""


def run_twistd(arguments: Sequence[str]) -> None:
    """
    Be C{twistd} from now on.

    @param arguments: its own.
    """
    from twisted.scripts import twistd

    sys.argv = ["twistd", *arguments]
    twistd.run()


def main(argv: Sequence[str] | None = None, run: Callable[[Sequence[str]], None] = run_twistd) -> int:
    """
    Run the command.

    @param argv: the arguments; those of the process by default.
    @param run: is C{twistd}.
    @return: the status of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in _TOOLS:
        status: int = import_module(f"anp_twisted.cli.{arguments[0]}").main(arguments[1:])
        return status
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(_HELP)
        return 0
    if "--version" in arguments:
        sys.stdout.write(f"anp-proxy {__version__}\n")
        return 0
    try:
        return _carry_out(read(arguments, os.environ), run)
    except SettingsError as error:
        sys.stderr.write(f"anp-proxy: {error}\n")
        return 1


def _carry_out(asked: Invocation, run: Callable[[Sequence[str]], None]) -> int:
    """Do what was asked for."""
    daemon = Daemon(asked)
    if asked.command == "run":
        run(["-n", "--pidfile=", *asked.service])
        return 0
    if asked.command == "restart":
        daemon.stop()
    if asked.command in ("start", "restart"):
        daemon.check_stopped()
        run([f"--pidfile={asked.pidfile}", *asked.service])
        return 0
    status: int = {"stop": daemon.stop, "status": daemon.status, "reload": daemon.reload, "logs": daemon.logs}[
        asked.command
    ]()
    return status


if __name__ == "__main__":
    sys.exit(main())
