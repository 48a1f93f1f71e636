"""The setup of a new installation."""
