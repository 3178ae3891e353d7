"""
The unit tests, one file for each module.

Importing this package installs the reactor that the code is written for, since
C{trial} imports no reactor before the tests. Property tests judge no time: how
long an example takes depends on what else the machine does.
"""

from hypothesis import HealthCheck, settings

from anp_twisted.eventloop import install_reactor

install_reactor()
settings.register_profile("anp_twisted", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("anp_twisted")
