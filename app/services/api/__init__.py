"""The JSON API: tokens of programs, and calls that are repeated."""
