"""The rules of the trade: no I/O, no clock, no framework. `now` is always an argument."""
