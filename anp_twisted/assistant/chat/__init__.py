"""
The command line channel, C{anp-chat}: a plain client of the JSON-RPC interface.

It knows of the gateway only what every other client can know.
"""
