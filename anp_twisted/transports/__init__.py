"""
What moves a connection's frames: WebSockets by Autobahn, and the driver above them.

L{anp_twisted.transports.link} pumps one
L{Connection<anp_twisted.session.connection.Connection>} through one socket and
owns its timers; it knows no Autobahn. L{anp_twisted.transports.liveness} says
whether the peer is there. L{anp_twisted.transports.websocket} is the part of
Autobahn's protocol that both sides share, with L{anp_twisted.transports.framing}
for the frames that matter; L{anp_twisted.transports.server} and
L{anp_twisted.transports.client} are the two ends.
L{anp_twisted.transports.backoff} says when a receiver tries again,
L{anp_twisted.transports.reasons} why it has to.
L{anp_twisted.transports.addresses} and L{anp_twisted.transports.tls} turn settings
into endpoints.
"""
