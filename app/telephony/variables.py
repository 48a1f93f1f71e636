"""The channel variables that the dialplan, the dialogue and the attempts share, by their names."""

RESULT = "BAZANG_RESULT"  # the handshake: "next" or "error"; unset means that our service was not there
WHY = "BAZANG_WHY"  # a short code for the log
MODULE = "BAZANG_MODULE"
WANTED = "BAZANG_WANTED"  # the extension that the caller had reached
QUEUE = "BAZANG_QUEUE"
FIRST = "BAZANG_FIRST"  # epoch seconds of the caller's first knock
HOPS = "BAZANG_HOPS"
WATCHDOG = "TIMEOUT(absolute)"
