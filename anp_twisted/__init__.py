"""
A public HTTP request reaches an ASGI application behind NAT, and streams both ways.

A B{gateway} has a public address; a B{receiver} runs beside the application and
keeps one WebSocket open to the gateway. Requests and answers share that link as
ANPX streams. Both are C{twistd} plugins: C{anp-gateway}, C{anp-receiver}, and
C{anp-both} for the two in one process.

Importing this package imports nothing else, and installs no reactor.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
