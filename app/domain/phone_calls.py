"""Calls of the studio: to record a sound by phone, or to try a phone out. Their states, and why one may fail."""

from enum import StrEnum


class CallKind(StrEnum):
    RECORD = "record"
    TEST = "test"


class CallState(StrEnum):
    ASKED = "asked"  # by a page; the telephone service has not taken it yet
    RINGING = "ringing"
    ANSWERED = "answered"
    RECORDING = "recording"
    LISTENING = "listening"  # asked whether to keep it, or hearing it
    KEPT = "kept"  # the recording is there
    DONE = "done"  # the test was heard to its end
    FAILED = "failed"
    CANCELLED = "cancelled"


class CallFailure(StrEnum):
    """Why a call failed."""

    SERVICE_DOWN = "service_down"  # the telephone service does not run, or ended during the call
    TOO_LATE = "too_late"  # it was busy for so long that nobody waits any more
    NOT_CONNECTED = "not_connected"  # to the exchange
    NO_DIALPLAN = "no_dialplan"  # the exchange does not run ours
    UNKNOWN_EXTENSION = "unknown_extension"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"  # no phone is registered there
    NO_DIALOGUE = "no_dialogue"  # the phone was answered, and the exchange did not reach our service
    ORDER_REFUSED = "order_refused"  # the exchange does not let us ring anybody
    UNDECIDED = "undecided"  # nobody said by a key whether to keep it
    HUNG_UP = "hung_up"  # before the recording was kept, or the test was over
    NOTHING_RECORDED = "nothing_recorded"
    SILENCE_ONLY = "silence_only"
    CANNOT_WRITE = "cannot_write"  # the exchange cannot write to our folder, or we cannot read what it wrote
    CANNOT_READ = "cannot_read"  # the exchange does not find the sounds that are to be heard
    NO_SOUND = "no_sound"  # what is to be said cannot be spoken
    BROKEN_OFF = "broken_off"  # the exchange or the dialogue failed in the middle


FINAL = frozenset({CallState.KEPT, CallState.DONE, CallState.FAILED, CallState.CANCELLED})
