"""
The public HTTP/1.1 side: what strangers connect to.

Bytes of a caller become L{request.PublicRequest}s, one at a time and in order,
each handed over as soon as its head is complete; bodies stream both ways and
are never stored.

  - L{head}: is this head one request, and which; pure.
  - L{intake}: cuts the bytes of one connection into heads and bodies, with llhttp.
  - L{answer}: the bytes of a response and how its body is framed; pure.
  - L{request}: one request with its answer, as the features see it.
  - L{connection}: one connection; owns order, back-pressure and closing.
  - L{channel}: all connections of a port.
  - L{pace}: the one timer they share, and what counts as a stall.

Whatever is malformed, too large or too slow is answered here and goes no further.
"""
