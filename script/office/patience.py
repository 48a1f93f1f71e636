"""How long a test waits for what must happen.

A machine that does much else may take a minute for what else takes a second. A test that passes never waits so long.
"""

PATIENCE = 120.0  # seconds
