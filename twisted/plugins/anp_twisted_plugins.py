"""What C{twistd} lists: four names, and the modules that are imported only when one of them is used."""

from twisted.application.service import ServiceMaker

gateway = ServiceMaker(
    "ANPX gateway", "anp_twisted.gateway.tap", "The public end: HTTP requests in, receivers at /ws.", "anp-gateway"
)
receiver = ServiceMaker(
    "ANPX receiver",
    "anp_twisted.receiver.tap",
    "The private end: serves an ASGI application to a gateway.",
    "anp-receiver",
)
both = ServiceMaker(
    "ANPX gateway and receiver",
    "anp_twisted.both.tap",
    "Both ends in one process, with a demo application.",
    "anp-both",
)
assistant = ServiceMaker(
    "Assistant gateway",
    "anp_twisted.assistant.tap",
    "JSON-RPC over WebSocket and a chat page in front of an agent.",
    "anp-assistant",
)
