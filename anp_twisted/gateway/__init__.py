"""
The public side: callers come in by HTTP, receivers by WebSocket, and each request
becomes one stream.

L{anp_twisted.gateway.routes} finds the receivers of a target and
L{anp_twisted.gateway.balancer} one of them; both are pure.
L{anp_twisted.gateway.receivers} keeps the links that are up,
L{anp_twisted.gateway.exchange} ties one public request to one stream,
L{anp_twisted.gateway.front} decides what a request is,
L{anp_twisted.gateway.management} shows the operator what goes on, and
L{anp_twisted.gateway.service} starts and drains it all.
"""
