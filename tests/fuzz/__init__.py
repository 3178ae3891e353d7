"""
Generated requests, and a second reader to compare with.

C{python -m tests.fuzz.front} runs without end under atheris, where that is installed; C{tests/test_front_fuzz.py} runs
a bounded part of the same with hypothesis.
"""
