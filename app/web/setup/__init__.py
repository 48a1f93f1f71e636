"""The setup of a new installation, step by step."""
