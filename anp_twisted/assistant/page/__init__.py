"""
The chat page: static files and how they are served.

It is a plain client of the JSON-RPC interface. There is no build step: what lies in
C{static} is what the browser reads.
"""
