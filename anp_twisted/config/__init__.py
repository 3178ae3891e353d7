"""
The settings of the three commands: declared once, read from four places.

L{anp_twisted.config.tables} declares them; L{anp_twisted.config.resolve} finds
each value (command line, environment, TOML file, default);
L{anp_twisted.config.options} is what C{twistd} talks to.
"""
