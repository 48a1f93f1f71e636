"""What the dialplan shares with the dialogue and the attempts: its channel variables by name, and two numbers."""

RESULT = "BAZANG_RESULT"  # the handshake: "next" or "error"; unset means that our service was not there
WHY = "BAZANG_WHY"  # a short code for the log
MODULE = "BAZANG_MODULE"
DIALOGUE = "BAZANG_DIALOGUE"  # the Uniqueid with which the dialogue began
WANTED = "BAZANG_WANTED"  # the extension that the caller had reached
CAME_BY = "BAZANG_CAME_BY"  # how they came, a CameBy
FIRST = "BAZANG_FIRST"  # epoch seconds of the caller's first knock
HOPS = "BAZANG_HOPS"
# What the dialplan gives to our service as arguments, in this order. Each is digits or a word, so no comma splits it.
FACTS = (FIRST, HOPS, CAME_BY, WANTED)
LEFT = "BAZANG_LEFT"  # the extension of the queue that the caller has left by a key, to come back without a request
QUEUE = "BAZANG_QUEUE"  # its name
JOINED = "BAZANG_JOINED"  # epoch seconds when they came there
PLACE = "BAZANG_PLACE"  # their position when they come back
# of the channel that runs the dialogue: after an attended transfer, that of another caller
CHANNEL, NUMBER, NAME, PRESENTATION = "CHANNEL", "CALLERID(num)", "CALLERID(name)", "CALLINGPRES"
WATCHDOG = "TIMEOUT(absolute)"

GRACE = 4  # seconds of silence a caller endures when our service dies or hangs, then Asterisk goes on without it
OFFER_PAUSE = 2  # seconds to press the key after the offer, for callers who have not joined the queue yet
PROMPT_VARIABLES = 8  # among so many the agent's announcement is spread, and by the dialplan put together again
PROBE = "bazang-probe"  # the context that tells of itself, and the event by which it does
READABLE = "bazang-readable"  # the context that reads a file, and the event by which it tells how it went
READABLE_FILE = "BAZANG_FILE"
PROBE_REACHED, PROBE_UNREACHED = f"{PROBE}-reached", f"{PROBE}-unreached"  # events: whether FastAGI has answered
# The path by which the probe and the doctor ask whether it is our FastAGI server that listens, and what it sets then.
PING, PONG = "ping", "BAZANG_PONG"
# The path by which the dialplan asks, before it rings a customer first, whether the attempt stands; what is set if so.
# The family in Asterisk's database of the attempts that must not begin any more, and the context that adds one.
# The reason with which queue members are paused while we ring them, and the context that ends such a pause.
HOLD_REASON, RELEASE = "Bazang", "bazang-release"
GIVEN_UP, FORBID = "bazang-over", "bazang-forbid"
ATTEMPT_PATH, GO = "attempt/", "BAZANG_GO"
# The family in Asterisk's database where the dialplan keeps registrations while our service is down; how many
# characters the list of their keys may have (a variable has 4,095), so about 170 keys.
KEPT_FAMILY, KEPT_MOST = "bazang-kept", 3500
FORGET = "BAZANG_FORGET"  # the keys of records to delete, with & between them
COMMIT_SECONDS = 3  # by the clock's whole seconds; Asterisk writes its database to the disk once a second
CALLER_EVENT = "BazangCaller"  # by which a scenario says for whom a caller came to a line that does not ring
