"""Prompts: which sound is played, voices, recordings and phone calls."""
