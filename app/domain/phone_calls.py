"""Phone calls, which record a prompt or test a phone: their kinds, states and the reasons why one can fail."""

from enum import StrEnum


class CallKind(StrEnum):
    RECORD = "record"
    TEST = "test"


class CallState(StrEnum):
    REQUESTED = "asked"  # a page has created the call; the worker has not claimed it yet
    RINGING = "ringing"
    ANSWERED = "answered"
    RECORDING = "recording"
    CHOOSING = "listening"  # the person is asked whether to keep the recording, or hears it
    SAVED = "kept"  # the recording is in the library
    DONE = "done"  # the test was played to its end
    FAILED = "failed"
    CANCELLED = "cancelled"


class CallFailure(StrEnum):
    """Why a call failed."""

    SERVICE_DOWN = "service_down"  # the worker does not run, or stopped during the call
    TOO_LATE = "too_late"  # the worker was busy for too long
    NOT_CONNECTED = "not_connected"  # to the PBX
    NO_DIALPLAN = "no_dialplan"  # the PBX does not run our dialplan
    UNKNOWN_EXTENSION = "unknown_extension"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"  # no phone is registered for the extension
    NO_DIALOGUE = "no_dialogue"  # the phone was answered, but the PBX did not reach our FastAGI server
    RING_REFUSED = "order_refused"  # the PBX does not allow us to ring phones
    UNDECIDED = "undecided"  # nobody pressed a key to keep the recording
    HUNG_UP = "hung_up"  # before the recording was saved or the test was over
    NOTHING_RECORDED = "nothing_recorded"
    SILENCE_ONLY = "silence_only"
    CANNOT_WRITE = "cannot_write"  # the PBX cannot write to our folder, or we cannot read what it wrote
    CANNOT_READ = "cannot_read"  # the PBX does not find the sounds to play
    NO_SOUND = "no_sound"  # the texts of the call cannot be synthesized
    BROKEN_OFF = "broken_off"  # an error of the PBX or the dialogue during the call


FINAL = frozenset({CallState.SAVED, CallState.DONE, CallState.FAILED, CallState.CANCELLED})
