"""Run the panel and the worker together on one machine."""
