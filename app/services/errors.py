"""What a service refuses, and why."""


class Invalid(ValueError):
    """Some fields make no sense: `errors` maps a field's name to a short code, which the page puts into words."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(", ".join(f"{name}: {code}" for name, code in errors.items()))
        self.errors = errors


class NotFound(LookupError):
    """There is no such thing (any more)."""


class Forbidden(PermissionError):
    """This is not for this user to do."""
