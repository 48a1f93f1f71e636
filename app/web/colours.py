"""The colours of badges, by what they show. `static/css/components.css` gives each name its design token."""

from app.domain.contacts import Action
from app.domain.lifecycle import Status
from app.domain.missed_calls import Outcome
from app.domain.policy import LineState
from app.store.webhooks import MessageState

STATUS = {
    Status.WAITING: "azure",
    Status.DIALLING: "orange",
    Status.CONNECTED: "green",
    Status.DONE: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "secondary",
    Status.EXPIRED: "secondary",
    Status.UNCERTAIN: "yellow",
}

MISSED = {
    Outcome.OPEN: "orange",
    Outcome.REACHED: "green",
    Outcome.LEFT: "azure",
    Outcome.REQUESTED: "azure",
    Outcome.DISMISSED: "secondary",
}

LINE_STATE = {
    LineState.FREE: "green",
    LineState.RINGING: "orange",
    LineState.IN_CALL: "red",
    LineState.DND: "purple",
    LineState.OFFLINE: "secondary",
    LineState.UNKNOWN: "secondary",
}

IMPORT = {
    Action.ADDED: "green",
    Action.CHANGED: "azure",
    Action.JOINED: "secondary",
    Action.UNCHANGED: "secondary",
    Action.LEFT_OUT: "yellow",
}

ROLE = {"administrator": "purple", "supervisor": "azure", "operator": "secondary"}

MESSAGE_STATE = {
    MessageState.WAITING: "azure",
    MessageState.SENT: "green",
    MessageState.FAILED: "red",
    MessageState.SKIPPED: "secondary",
}
