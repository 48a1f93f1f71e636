"""Requests that visitors of websites leave: the forms, what keeps robots out, and the registration."""
