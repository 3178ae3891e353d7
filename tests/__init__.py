"""
What leaves the process or is slow: end to end over real processes, vectors, faults.

C{trial tests} runs all of it; C{tests/bench} is not a part of it.
"""
