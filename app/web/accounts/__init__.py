"""Users: logging in, their own account, and their administration."""
