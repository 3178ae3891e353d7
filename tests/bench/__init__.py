"""
Benchmarks: C{python -m tests.bench} prints one table of ratios and writes it as JSON.

They are never tests: no figure fails anything.
"""
