"""
The machines of ANPX connections and streams: frames in, events out, no I/O.

L{anp_twisted.session.connection} is one side of one version 2 connection. It is
given whole frames and returns events; it is asked for the next frame to send
whenever the socket can take one. L{anp_twisted.session.stream} is one request
and its answer, L{anp_twisted.session.outbound} decides whose turn it is to send,
L{anp_twisted.session.windows} counts credit. No clock, no socket and no
randomness: two connections back to back in one process behave as two machines do.
"""
