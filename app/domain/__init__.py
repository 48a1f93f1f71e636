"""Business rules. Pure code: no I/O, no clock, no framework. `now` is always an argument."""
