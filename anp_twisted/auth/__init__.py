"""
Who may connect.

L{anp_twisted.auth.bearer} judges a credential and is pure;
L{anp_twisted.auth.tokens} keeps the receivers' token in a file.
"""
