"""Why somebody could not log in outside the panel."""


class Unreachable(Exception):
    """The provider or the directory gives no answer, or none that can be used. The message says why, for the log."""


class Refused(Exception):
    """It did answer, but the log-in does not count. The message says why, for the log."""


class WrongCredentials(Exception):
    """The directory does not accept the name and the password."""
