"""
The private end: an ASGI application is called in process for what callers ask of a gateway.

L{anp_twisted.receiver.apps} imports the application.
L{anp_twisted.receiver.asgi} and L{anp_twisted.lifespan} are the two
protocols it speaks, as machines without I/O. L{anp_twisted.receiver.bridge} is the
one folder that holds asyncio: it runs a task for each request.
L{anp_twisted.receiver.service} keeps the link to the gateway, and
L{anp_twisted.receiver.tap} is the command C{anp-receiver}.
"""
