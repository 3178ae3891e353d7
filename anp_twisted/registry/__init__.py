"""
Who may connect as what, and who owns which place, in a database.

L{anp_twisted.registry.book} is what a gateway knows of it, in memory;
L{anp_twisted.registry.sql} reads and writes the tables, and
L{anp_twisted.registry.service} keeps the one up to date with the other.
"""
