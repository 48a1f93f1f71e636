"""The time limit of waits in tests and in the simulated office.

A busy machine may need a minute for what usually takes a second. A passing test never waits this long.
"""

PATIENCE = 120.0  # seconds
