"""The numerics core: plain functions over scalars that run on Decimal, on float, and compiled by numba.

No Django, no I/O, no clock, no logging. Only integer literals appear in the arithmetic, so Decimal and float
cannot mix by accident. `metrics.py` and `reward.py` measure and are float only; `batch.py` compiles the rest.
"""
