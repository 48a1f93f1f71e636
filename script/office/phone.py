"""A simulated SIP phone. It registers, calls, answers, rejects, hangs up, presses keys and receives sound.

All times are monotonic seconds. Each event of a call can be awaited.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import cast

from script.office.patience import PATIENCE
from script.office.rtp import Rtp
from script.office.sip import SipMessage, authorize, build, parse, tag_of, token, uri_of, user_of

# Number of registration attempts. An Asterisk that has just started sometimes rejects a correct answer to its challenge
# (twice in about ten thousand).
TRIES = 4

# What Asterisk reports about a transfer that it did not begin. It refuses to transfer a call that it is still
# connecting, and a person presses the key again.
TRANSFER_REFUSED = ("SIP/2.0 400", "SIP/2.0 500")
SECONDS_BETWEEN_TRANSFERS = 0.2


class CallFailed(Exception):
    """The call was not answered. `status` is the SIP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"SIP {status}")
        self.status = status


class Call:
    """An incoming or outgoing call of a phone. `status` is the final SIP status, or 0 before it."""

    def __init__(self, phone: "Phone", call_id: str, rtp: Rtp, *, incoming: bool, remote: str) -> None:
        self.phone, self.call_id, self.rtp, self.incoming, self.remote = phone, call_id, rtp, incoming, remote
        self.began_at = time.monotonic()
        self.ringing_at = self.answered_at = self.ended_at = 0.0
        self.ringing, self.answered, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.acknowledged = asyncio.Event()  # incoming call: Asterisk has acknowledged the answer
        self.status = 0
        self.reason = ""
        self.local_tag, self.remote_tag = token(), ""
        self.dialled = ""
        self.target = ""
        self.cseq = 1
        self.invite: SipMessage | None = None
        self.cancelled = False
        self.from_header = self.to_header = ""
        self.consultation: Call | None = None  # to which an attended transfer connects the other side
        self.refer_to = ""
        self.refers = 0

    async def answer(self) -> None:
        """Answer an incoming call."""
        assert self.incoming and self.invite is not None
        if self.ended.is_set():
            return
        self.rtp.start(_media_address(self.invite.body))
        self.phone.respond(self.invite, 200, "OK", self, body=self.phone.sdp(self.rtp))
        self._mark_answered()

    def send_early_media(self) -> None:
        """Send sound before the answer: a ringing tone, music or an announcement of the provider."""
        assert self.incoming and self.invite is not None
        self.rtp.start(_media_address(self.invite.body))
        self.phone.respond(self.invite, 183, "Session Progress", self, body=self.phone.sdp(self.rtp))

    def reject(self, status: int = 486) -> None:
        """Reject an incoming call."""
        assert self.incoming and self.invite is not None
        self.phone.respond(self.invite, status, "No", self)
        self.end(status)

    def redirect(self, number: str) -> None:
        """Forward a ringing call to a number, as a phone with call forwarding does."""
        assert self.incoming and self.invite is not None
        contact = f"<{self._uri(number)}>"
        self.phone.respond(self.invite, 302, "Moved Temporarily", self, contact=contact)
        self.end(302)

    async def hold(self) -> None:
        """Put an answered call on hold. Raises CallFailed."""
        await self.phone.change_media(self, "sendonly")

    async def hang_up(self) -> float:
        """End the call in any state and return the time of its end."""
        if self.ended.is_set():
            return self.ended_at
        if self.answered.is_set():
            if self.incoming:  # a BYE is not allowed before the ACK (RFC 3261, 15)
                async with asyncio.timeout(PATIENCE):
                    await self.acknowledged.wait()
            at = time.monotonic()  # Asterisk may act on the BYE before this process goes on
            self.phone.send_in_dialog(self, "BYE")
            self.end(200, at)
        elif self.incoming:
            self.reject(603)
        else:
            self.cancelled = True
            self.phone.cancel(self)
            await self.ended.wait()
        return self.ended_at

    async def press(self, keys: str) -> None:
        await self.rtp.press(keys)

    async def press_by_info(self, keys: str) -> None:
        """Send keys by SIP INFO, as phones do that do not send them as sound events. Raises CallFailed."""
        for key in keys:
            await self.phone.send_key(self, key)

    async def transfer(self, number: str) -> None:
        """Transfer the other side of this call to a number, as the transfer key of a phone does."""
        self._refer(f"<{self._uri(number)}>")

    async def transfer_to(self, other: "Call") -> None:
        """Connect the other sides of this call and of another call of this phone, and leave both when that is done."""
        self.consultation = other
        replaces = f"{other.call_id};to-tag={other.remote_tag};from-tag={other.local_tag}"
        self._refer(f"<{self._uri(other.remote)}?Replaces={replaces.replace(';', '%3B').replace('=', '%3D')}>")

    def _uri(self, number: str) -> str:
        host, port = self.phone.server
        return f"sip:{number}@{host}:{port}"

    def _refer(self, target: str) -> None:
        self.refer_to = target
        self.refers = 0
        self._send_refer()

    def _send_refer(self) -> None:
        if not self.ended.is_set():
            self.refers += 1
            self.phone.send_in_dialog(self, "REFER", [("Refer-To", self.refer_to)])

    def take_transfer_news(self, news: str) -> None:
        """Take what the PBX reports about a transfer: the status line of RFC 3515."""
        if news.startswith(TRANSFER_REFUSED) and self.refers < TRIES:
            asyncio.get_running_loop().call_later(SECONDS_BETWEEN_TRANSFERS, self._send_refer)
        elif news.startswith("SIP/2.0 200") and self.consultation is not None:
            self.phone.spawn(self._leave_after_transfer(self.consultation))

    async def _leave_after_transfer(self, consultation: "Call") -> None:
        """Hang up this call, for whose BYE Asterisk waits 32 s, when Asterisk has ended the consultation.

        Asterisk reports success an instant before it connects the others. A phone in a real network hears it later; if
        both calls end within that instant, Asterisk drops the others.
        """
        await consultation.ended.wait()
        await self.hang_up()

    async def wait_answered(self, timeout: float = PATIENCE) -> None:
        """Wait until the call is answered. Raises CallFailed if it ends before, and TimeoutError."""
        await self._wait_for(self.answered, timeout)
        if not self.answered.is_set():
            raise CallFailed(self.status)

    async def wait_ringing(self, timeout: float = PATIENCE) -> None:
        await self._wait_for(self.ringing, timeout)

    async def wait_ended(self, timeout: float = PATIENCE) -> None:
        async with asyncio.timeout(timeout):
            await self.ended.wait()

    async def _wait_for(self, event: asyncio.Event, timeout: float) -> None:
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self.ended.wait())]
        try:
            done, _ = await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not done:
            raise TimeoutError(f"{self.phone.user}: no event within {timeout} s")

    def _mark_answered(self) -> None:
        self.answered_at = time.monotonic()
        self.answered.set()

    def end(self, status: int, at: float | None = None) -> None:
        """Note that the call has ended, now or `at`."""
        if self.ended.is_set():
            return
        self.status, self.ended_at = status, time.monotonic() if at is None else at
        self.ended.set()
        self.rtp.close()
        self.phone.active.discard(self)


CallHandler = Callable[[Call], Awaitable[None]]


class Phone(asyncio.DatagramProtocol):
    """A SIP phone. `server`: host and port of Asterisk. `secret` is None for a trunk, which does not register.

    `call_waiting`: a second call rings and does not get busy. `on_call` handles an incoming call. Without it the call
    rings and is put into `incoming`. `contact`: the address to register; ``HERE`` in it is replaced by host and port.
    """

    def __init__(
        self,
        user: str,
        server: tuple[str, int],
        *,
        secret: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        contact: str = "",
    ) -> None:
        self.user, self.server, self.secret, self.host, self.port = user, server, secret, host, port
        self._contact = contact or f"sip:{user}@HERE"
        self.incoming: asyncio.Queue[Call] = asyncio.Queue()
        self.invites: list[float] = []
        self.calls: dict[str, Call] = {}
        self.active: set[Call] = set()
        self.call_waiting = False
        self.plugged_in = True  # False: nothing is sent or received, as with a cable that was pulled
        self.on_call: CallHandler | None = None
        self._answers: dict[tuple[str, int, str], bytes] = {}
        self._waiting: dict[tuple[str, int], asyncio.Future[SipMessage]] = {}
        self._tasks: set[asyncio.Future[object]] = set()
        self._refresh: asyncio.Future[object] | None = None

    async def start(self) -> "Phone":
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, self.port))
        if self.secret is not None:
            await self.register()
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    async def close(self) -> None:
        for call in list(self.active):
            if not call.ended.is_set():
                try:
                    async with asyncio.timeout(2):
                        await call.hang_up()
                except TimeoutError:
                    call.end(0)
        for task in self._tasks:
            task.cancel()
        self.transport.close()

    async def register(self, expires: int = 3600) -> None:
        """Register the phone, and again before `expires` seconds have passed. 0: unregister it. Raises CallFailed."""
        if self._refresh is not None:
            self._refresh.cancel()
        await self._register(expires)
        self._refresh = self.spawn(self._stay_registered(expires)) if expires else None

    async def _stay_registered(self, expires: int) -> None:
        while True:
            await asyncio.sleep(expires / 4)
            with suppress(CallFailed):  # no cable, or no Asterisk: it tries again
                await self._register(expires)

    async def _register(self, expires: int) -> None:
        uri = f"sip:{self.server[0]}:{self.server[1]}"
        call_id, tag = token(), token()
        extra: list[tuple[str, str]] = []
        me = f"<sip:{self.user}@{self.server[0]}>"
        for number in range(1, TRIES + 1):
            headers = [
                *self._head(f"{me};tag={tag}", me, call_id, number, "REGISTER"),
                ("Contact", f"<{self.contact}>"),
                ("Expires", str(expires)),
                *extra,
            ]
            reply = await self._send_request((call_id, number), build(f"REGISTER {uri} SIP/2.0", headers))
            if reply.status == 200:
                return
            if reply.status != 401 or number == TRIES:
                raise CallFailed(reply.status)
            challenge = reply["www-authenticate"]
            extra = [("Authorization", authorize(challenge, "REGISTER", uri, self.user, self.secret or ""))]

    async def _send_request(self, request: tuple[str, int], data: bytes, *, sent: bool = False) -> SipMessage:
        """Send a request repeatedly and return its reply. `request`: its Call-ID and CSeq number. Raises CallFailed."""
        for _ in range(20):
            future: asyncio.Future[SipMessage] = asyncio.get_running_loop().create_future()
            self._waiting[request] = future
            if not sent:
                self._send(data)
            sent = False
            try:
                async with asyncio.timeout(0.5):
                    return await future
            except TimeoutError:
                continue
        raise CallFailed(408)

    @property
    def contact(self) -> str:
        return self._contact.replace("HERE", f"{self.host}:{self.port}")

    def _head(self, from_: str, to: str, call_id: str, number: int, method: str) -> list[tuple[str, str]]:
        return [
            ("Via", f"SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{token()};rport"),
            ("Max-Forwards", "70"),
            ("From", from_),
            ("To", to),
            ("Call-ID", call_id),
            ("CSeq", f"{number} {method}"),
            ("User-Agent", "test phone"),
        ]

    def sdp(self, rtp: Rtp) -> str:
        return (
            f"v=0\r\no=- 1 1 IN IP4 {self.host}\r\ns=-\r\nc=IN IP4 {self.host}\r\nt=0 0\r\n"
            f"m=audio {rtp.port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
            "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
        )

    # -- outgoing calls -------------------------------------------------------------------------------------------

    async def call(
        self, number: str, *, caller: str | None = None, name: str = "", anonymous: bool = False, asserted: str = ""
    ) -> Call:
        """Start a call. `caller` and `name` go into the From header. `anonymous` asks for privacy.

        `asserted` is the number that the network passes on all the same.
        """
        call = Call(self, token(), await Rtp.open(self.host), incoming=False, remote=number)
        self.calls[call.call_id] = call
        self.active.add(call)
        user = "anonymous" if anonymous else caller or self.user
        host = "anonymous.invalid" if anonymous else self.server[0]
        shown = f'"{name}" ' if name else ""
        call.from_header = f"{shown}<sip:{user}@{host}>;tag={call.local_tag}"
        call.target = f"sip:{number.replace('#', '%23')}@{self.server[0]}:{self.server[1]}"
        call.to_header = f"<{call.target}>"
        identity = [("P-Asserted-Identity", f"<sip:{asserted}@{host}>")] if asserted else []
        self._invite(call, [*([("Privacy", "id")] if anonymous else []), *identity])
        return call

    def _invite(self, call: Call, extra: list[tuple[str, str]]) -> None:
        headers = [
            *self._head(call.from_header, call.to_header, call.call_id, call.cseq, "INVITE"),
            ("Contact", f"<{self.contact}>"),
            ("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS"),
            *extra,
        ]
        call.invite = SipMessage("INVITE", call.target, headers={n.lower(): [v] for n, v in headers})
        self._send(build(f"INVITE {call.target} SIP/2.0", headers, self.sdp(call.rtp)))

    def cancel(self, call: Call) -> None:
        assert call.invite is not None
        headers = [
            ("Via", call.invite["via"]),
            ("Max-Forwards", "70"),
            ("From", call.from_header),
            ("To", call.to_header),
            ("Call-ID", call.call_id),
            ("CSeq", f"{call.cseq} CANCEL"),
        ]
        self._send(build(f"CANCEL {call.target} SIP/2.0", headers))

    def send_in_dialog(self, call: Call, method: str, extra: Sequence[tuple[str, str]] = ()) -> None:
        """Send an ACK, or send a BYE or REFER until it is answered."""
        call.cseq += method != "ACK"
        here = f"<sip:{self.user}@{self.server[0]}>;tag={call.local_tag}"
        there = f"{call.to_header.split(';tag=')[0]};tag={call.remote_tag}"
        mine = call.from_header or here
        data = build(
            f"{method} {call.target} SIP/2.0",
            [*self._head(mine, there, call.call_id, call.cseq, method), ("Contact", f"<{self.contact}>"), *extra],
        )
        self._send(data)  # at once, because the task may be cancelled
        if method != "ACK":
            self.spawn(self._repeat((call.call_id, call.cseq), data))

    async def change_media(self, call: Call, direction: str) -> None:
        """Send a new INVITE in a call, with this direction of the media. Raises CallFailed."""
        call.cseq += 1
        here = f"<sip:{self.user}@{self.server[0]}>;tag={call.local_tag}"
        there = f"{call.to_header.split(';tag=')[0]};tag={call.remote_tag}"
        head = self._head(call.from_header or here, there, call.call_id, call.cseq, "INVITE")
        body = self.sdp(call.rtp).replace("a=sendrecv", f"a={direction}")
        data = build(f"INVITE {call.target} SIP/2.0", [*head, ("Contact", f"<{self.contact}>")], body)
        reply = await self._send_request((call.call_id, call.cseq), data)
        self.send_in_dialog(call, "ACK")
        if reply.status != 200:
            raise CallFailed(reply.status)

    async def send_key(self, call: Call, key: str) -> None:
        """Send a key by SIP INFO. Raises CallFailed."""
        call.cseq += 1
        here = f"<sip:{self.user}@{self.server[0]}>;tag={call.local_tag}"
        there = f"{call.to_header.split(';tag=')[0]};tag={call.remote_tag}"
        head = self._head(call.from_header or here, there, call.call_id, call.cseq, "INFO")
        body = f"Signal={key}\r\nDuration=160\r\n"
        data = build(f"INFO {call.target} SIP/2.0", head, body, content="application/dtmf-relay")
        reply = await self._send_request((call.call_id, call.cseq), data)
        if reply.status != 200:
            raise CallFailed(reply.status)

    async def move(self) -> None:
        """Continue at another port and register there, as behind a router that has forgotten the old one."""
        old, self.port = self.transport, 0
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, 0))
        old.close()
        await self.register()

    async def _repeat(self, request: tuple[str, int], data: bytes) -> None:
        with suppress(CallFailed):  # Asterisk does not run any more
            await self._send_request(request, data, sent=True)

    def _handle_response(self, message: SipMessage) -> None:
        waiting = self._waiting.get((message.call_id, message.cseq[0]))
        if waiting is not None:
            if message.status >= 200 and not waiting.done():
                waiting.set_result(message)
            return
        call = self.calls.get(message.call_id)
        if call is None or message.cseq[1] != "INVITE" or message.cseq[0] != call.cseq:
            return
        if message.status < 200:
            if message.status in (180, 183):
                call.ringing_at = call.ringing_at or time.monotonic()
                call.ringing.set()
                if message.body:
                    call.rtp.start(_media_address(message.body))
            return
        call.remote_tag = tag_of(message["to"])
        if message.status == 200:
            self._handle_answer(call, message)
        else:
            self._ack_failure(call, message)
            if message.status in (401, 407) and self.secret is not None and call.cseq == 1:
                self._authenticate(call, message)
            else:
                call.reason = message.reason
                call.end(message.status)

    def _handle_answer(self, call: Call, message: SipMessage) -> None:
        call.target = uri_of(message["contact"]) or call.target
        self.send_in_dialog(call, "ACK")
        if call.answered.is_set() or call.ended.is_set():
            return
        call.rtp.start(_media_address(message.body))
        call.answered_at = time.monotonic()
        call.answered.set()
        if call.cancelled:  # the CANCEL came too late
            self.send_in_dialog(call, "BYE")
            call.end(200)

    def _ack_failure(self, call: Call, message: SipMessage) -> None:
        assert call.invite is not None
        headers = [
            ("Via", call.invite["via"]),
            ("Max-Forwards", "70"),
            ("From", call.from_header),
            ("To", message["to"]),
        ]
        headers += [("Call-ID", call.call_id), ("CSeq", f"{message.cseq[0]} ACK")]
        self._send(build(f"ACK {call.invite.uri} SIP/2.0", headers))

    def _authenticate(self, call: Call, message: SipMessage) -> None:
        name = "Authorization" if message.status == 401 else "Proxy-Authorization"
        challenge = message["www-authenticate"] or message["proxy-authenticate"]
        call.cseq += 1
        self._invite(call, [(name, authorize(challenge, "INVITE", call.target, self.user, self.secret or ""))])

    # -- incoming calls --------------------------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = parse(data) if self.plugged_in else None
        if message is None:
            return
        if message.status:
            self._handle_response(message)
            return
        answer = self._answers.get((message.call_id, *message.cseq))
        if answer is not None and message.method != "ACK":
            self._send(answer)  # the request was repeated, so the answer is repeated
            return
        match message.method:
            case "INVITE":
                self.spawn(self._handle_invite(message))
            case "ACK":
                if message.call_id in self.calls:
                    self.calls[message.call_id].acknowledged.set()
            case "CANCEL":
                self._handle_cancel(message)
            case "BYE":
                call = self.calls.get(message.call_id)
                self.respond(message, 200, "OK", call)
                if call is not None:
                    call.end(200)
            case "OPTIONS" | "NOTIFY" | "INFO" | "UPDATE":
                call = self.calls.get(message.call_id)
                self.respond(message, 200, "OK", call)
                if call is not None and message.method == "NOTIFY":
                    call.take_transfer_news(message.body)

    def spawn(self, work: Awaitable[object]) -> asyncio.Future[object]:
        """Do work in the background, until the phone is closed."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _handle_invite(self, message: SipMessage) -> None:
        now = time.monotonic()
        known = self.calls.get(message.call_id)
        if known is not None:  # a re-INVITE of an existing call
            self.respond(message, 200, "OK", known, body=self.sdp(known.rtp))
            return
        self.invites.append(now)
        if self.active and not self.call_waiting and self.secret is not None:
            self.respond(message, 486, "Busy Here", None)
            return
        self._answers[(message.call_id, *message.cseq)] = b""  # marks the INVITE as being handled
        call = Call(self, message.call_id, await Rtp.open(self.host), incoming=True, remote=user_of(message["from"]))
        call.began_at, call.ringing_at, call.invite = now, now, message
        call.remote_tag, call.target = tag_of(message["from"]), uri_of(message["contact"])
        call.from_header, call.to_header = f"{message['to']};tag={call.local_tag}", message["from"]
        call.dialled = user_of(f"<{message.uri}>")
        self.calls[message.call_id] = call
        self.active.add(call)
        self.respond(message, 180, "Ringing", call)
        call.ringing.set()
        if self.on_call is not None:
            await self.on_call(call)
        else:
            self.incoming.put_nowait(call)

    def _handle_cancel(self, message: SipMessage) -> None:
        call = self.calls.get(message.call_id)
        self.respond(message, 200, "OK", call)
        if call is not None and call.invite is not None and not call.answered.is_set() and not call.ended.is_set():
            self.respond(call.invite, 487, "Request Terminated", call)
            call.end(487)

    def respond(
        self, message: SipMessage, status: int, reason: str, call: Call | None, body: str = "", contact: str = ""
    ) -> None:
        to = message["to"]
        if ";tag=" not in to and status > 100:
            to = f"{to};tag={call.local_tag if call is not None else token()}"
        headers = [("Via", via) for via in message.headers.get("via", [])]
        headers += [("Record-Route", route) for route in message.headers.get("record-route", [])]
        headers += [("From", message["from"]), ("To", to), ("Call-ID", message.call_id), ("CSeq", message["cseq"])]
        headers += [
            ("Contact", contact or f"<{self.contact}>"),
            ("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS"),
        ]
        data = build(f"SIP/2.0 {status} {reason}", headers, body)
        self._answers[(message.call_id, *message.cseq)] = data
        self._send(data)

    def _send(self, data: bytes) -> None:
        if data and self.plugged_in and not self.transport.is_closing():
            self.transport.sendto(data, self.server)

    async def next_call(self, timeout: float = PATIENCE) -> Call:
        """Return the next ringing incoming call. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            return await self.incoming.get()


def _media_address(body: str) -> tuple[str, int]:
    """Return host and port for the sound from an SDP body."""
    host, port = "127.0.0.1", 0
    for line in body.split("\r\n"):
        if line.startswith("c=IN IP4 "):
            host = line[9:].strip()
        elif line.startswith("m=audio "):
            port = int(line.split(" ")[1])
    return host, port
