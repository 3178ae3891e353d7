"""Makes the services of commands in a folder of their own."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from typing import Any

from twisted.application.service import IServiceCollection
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.gateway.service import GatewayService


class CommandCase(SynchronousTestCase):
    """Runs in a folder of its own, and leaves the process as it was."""

    def setUp(self) -> None:
        """Go there."""
        folder = self.mktemp()
        os.makedirs(folder)
        before = os.getcwd()
        os.chdir(folder)
        self.addCleanup(os.chdir, before)
        self.patch(sys, "path", list(sys.path))
        self.patch(sys, "excepthook", sys.excepthook)
        registered: list[object] = []
        self.patch(atexit, "register", registered.append)
        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def make(self, command: Any, *arguments: str) -> GatewayService:
        """Make the service of a command and find the gateway in it."""
        options = command.Options({})
        options.parseOptions(list(arguments))
        services = list(IServiceCollection(command.makeService(options)))
        (gateway,) = [service for service in services if isinstance(service, GatewayService)]
        return gateway

    def refused(self, command: Any, *arguments: str) -> str:
        """What the operator reads when a command does not start."""
        return str(self.assertRaises(SystemExit, self.make, command, *arguments).code)

    @staticmethod
    def names(service: GatewayService) -> list[str]:
        """Where it will listen."""
        return [listener._name for listener in service._listeners]
