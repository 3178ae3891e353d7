"""
Peers of version 1, built from the published text alone: nothing of the package is used here.
"""
