"""
The command C{anp-proxy}: it starts the services that C{twistd} knows, and manages what they keep.

L{anp_twisted.cli.main} chooses; each of the others is one of its commands.
"""
