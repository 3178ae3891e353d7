"""
The unit tests, one file for each module.

Importing this package installs the reactor that the code is written for, since
C{trial} imports no reactor before the tests.
"""

from anp_twisted.eventloop import install_reactor

install_reactor()
