"""What the dialplan shares with the dialogue and the attempts: its channel variables by name, and two numbers."""

RESULT = "BAZANG_RESULT"  # the handshake: "next" or "error"; unset means that our service was not there
WHY = "BAZANG_WHY"  # a short code for the log
MODULE = "BAZANG_MODULE"
WANTED = "BAZANG_WANTED"  # the extension that the caller had reached
FIRST = "BAZANG_FIRST"  # epoch seconds of the caller's first knock
HOPS = "BAZANG_HOPS"
WATCHDOG = "TIMEOUT(absolute)"

GRACE = 4  # seconds of silence a caller endures when our service dies or hangs, then Asterisk goes on without it
PROMPT_VARIABLES = 8  # among so many the agent's announcement is spread, and by the dialplan put together again
PROBE = "bazang-probe"  # the context that tells of itself, and the event by which it does
