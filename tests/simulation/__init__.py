"""The dispatcher against a model exchange in simulated time; see `world.py`."""
