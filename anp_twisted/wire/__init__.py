"""
ANPX bytes to frames and back: the only place that knows the layout on the wire.

Everything here is pure. L{anp_twisted.wire.header} is the 24-byte header that
both versions share, L{anp_twisted.wire.tlv} the fields behind it,
L{anp_twisted.wire.v1} and L{anp_twisted.wire.v2} the frames of each version, and
L{anp_twisted.wire.heads} the JSON values that version 2 puts into its fields.

The normative text is C{docs/protocol/anpx.md}; C{tests/vectors} holds frames
that any other implementation can be tried on.
"""
