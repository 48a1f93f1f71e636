"""Show the progress of work in one line: rewritten on a terminal, repeated every ten seconds in a log."""

import sys
import time

LOG_SECONDS = 10


class Progress:
    """The progress line of one piece of work. It prints nothing before the first `report`."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._started = self._logged = time.monotonic()
        self._width = 0
        self._reported = False

    def report(self, state: str) -> None:
        """Show the state of the work."""
        now = time.monotonic()
        seconds = int(now - self._started)
        text = f"{self.what}: {state}" + (f" ({seconds} s)" if seconds else "")
        if sys.stdout.isatty():
            sys.stdout.write(f"\r{text:<{self._width}}")
            self._width = max(self._width, len(text))
        elif not self._reported or now - self._logged >= LOG_SECONDS:
            sys.stdout.write(text + "\n")
            self._logged = now
        sys.stdout.flush()
        self._reported = True

    def done(self, result: str) -> None:
        """Show the result and end the line."""
        self._end(f"{self.what}: {result} ({time.monotonic() - self._started:.0f} s)")

    def failed(self) -> None:
        """End the line. The caller prints the reason."""
        self._end(f"{self.what}: not available")

    def _end(self, text: str) -> None:
        start = "\r" if sys.stdout.isatty() else ""
        sys.stdout.write(f"{start}{text:<{self._width}}\n")
        sys.stdout.flush()
