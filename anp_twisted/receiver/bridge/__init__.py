"""
Runs the application: one asyncio task for each request, and one for its lifespan.

This folder and L{anp_twisted.tasks} are where Twisted and asyncio meet. What the session tells
of a stream arrives here as plain calls; what the application awaits are futures
that those calls resolve. A future is made only when there is something to wait
for, so that a small request costs one task and nothing else. Towards the rest of
the receiver everything is a Deferred.
"""

from anp_twisted.receiver.bridge.app import AppBridge
from anp_twisted.receiver.bridge.call import Waker
from anp_twisted.receiver.bridge.lifespan import LifespanCall

__all__ = ["AppBridge", "LifespanCall", "Waker"]
