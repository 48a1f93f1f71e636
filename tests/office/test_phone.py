"""The test phone itself, beside an exchange made of one socket: a busy machine must not make it fail."""

import asyncio
from typing import cast

import pytest

from script.office.patience import PATIENCE
from script.office.phone import CallFailed, Phone
from script.office.sip import SipMessage, build, parse


class TardyExchange(asyncio.DatagramProtocol):
    """Answers each REGISTER without credentials twice, as one does that is asked again before it has answered."""

    def __init__(self) -> None:
        self.authorized = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        message = parse(data)
        assert message is not None
        if message["authorization"]:
            self.authorized += 1
            self._answer(message, "200 OK", address)
        else:
            for _ in range(2):
                self._answer(message, "401 Unauthorized", address)

    def _answer(self, message: SipMessage, status: str, address: tuple[str, int]) -> None:
        headers = [(name, message[name.lower()]) for name in ("Via", "From", "To", "Call-ID", "CSeq")]
        headers.append(("WWW-Authenticate", 'Digest realm="test", nonce="1", qop="auth"'))
        self.transport.sendto(build(f"SIP/2.0 {status}", headers), address)


class ForgetfulExchange(TardyExchange):
    """Has forgotten its challenge by the time that it is answered, so often. `numbers`: of the requests it got."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.numbers: list[int] = []

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        message = parse(data)
        assert message is not None
        self.numbers.append(message.cseq[0])
        refuses = not message["authorization"] or len(self.numbers) <= 1 + self.times
        self._answer(message, "401 Unauthorized" if refuses else "200 OK", address)


class LateExchange(TardyExchange):
    """Calls the phone, is late to know that it was answered, and loses the first BYE. `heard`: what the phone sent."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []
        self.over = asyncio.Event()

    def call(self, phone: Phone) -> None:
        self.to = ("127.0.0.1", phone.port)
        self._send("INVITE", phone, "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 9 RTP/AVP 0\r\n")
        self.acknowledge = lambda: self._send("ACK", phone)

    def _send(self, method: str, phone: Phone, body: str = "") -> None:
        if method == "ACK":
            self.heard.append("(told)")
        headers = [
            ("From", "<sip:1@test>;tag=a"),
            ("To", "<sip:201@test>"),
            ("Call-ID", "call"),
            ("CSeq", f"1 {method}"),
        ]
        headers += [("Via", "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1"), ("Contact", "<sip:1@127.0.0.1>")]
        self.transport.sendto(build(f"{method} sip:201@127.0.0.1 SIP/2.0", headers, body), self.to)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        message = parse(data)
        assert message is not None
        if message.method == "BYE":
            self.heard.append("BYE")
            if self.heard.count("BYE") == 2:
                self._answer(message, "200 OK", address)
                self.over.set()
        elif message.status == 200:
            asyncio.get_running_loop().call_later(0.2, self.acknowledge)


async def test_call_is_not_ended_before_the_exchange_knows_that_it_was_answered() -> None:
    exchange = LateExchange()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: exchange, local_addr=("127.0.0.1", 0)
    )
    phone = await Phone("201", transport.get_extra_info("sockname")).start()
    try:
        exchange.call(phone)
        call = await phone.next_call()
        await call.answer()
        await call.hang_up()
        async with asyncio.timeout(5):
            await exchange.over.wait()
        assert exchange.heard == ["(told)", "BYE", "BYE"], "and a BYE that is lost is sent again"
    finally:
        await phone.close()
        transport.close()


async def test_second_answer_to_the_first_register_is_not_taken_for_the_answer_to_the_next() -> None:
    exchange = TardyExchange()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: exchange, local_addr=("127.0.0.1", 0)
    )
    phone = Phone("201", transport.get_extra_info("sockname"), secret="secret")
    try:
        await phone.start()
        assert exchange.authorized == 1
    finally:
        await phone.close()
        transport.close()


class CountingExchange(TardyExchange):
    """Accepts each registration. `lasting`: for how many seconds each of them was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.lasting: asyncio.Queue[str] = asyncio.Queue()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        message = parse(data)
        assert message is not None
        self._answer(message, "200 OK", address)
        self.lasting.put_nowait(message["expires"])


async def test_phone_stays_registered_until_it_unregisters() -> None:
    exchange = CountingExchange()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: exchange, local_addr=("127.0.0.1", 0)
    )
    phone = Phone("201", transport.get_extra_info("sockname"), secret="secret")
    try:
        await phone.start()
        await phone.register(expires=1)
        await phone.register(expires=1)
        async with asyncio.timeout(PATIENCE):
            assert [await exchange.lasting.get() for _ in range(6)] == ["3600", "1", "1", "1", "1", "1"]
        await phone.register(expires=0)
        while not exchange.lasting.empty():
            last = exchange.lasting.get_nowait()
        assert last == "0"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):  # no further one was due later than this
                await exchange.lasting.get()
    finally:
        await phone.close()
        transport.close()


@pytest.mark.parametrize("times", [0, 2, 3])
async def test_a_new_challenge_is_answered_but_not_for_ever(times: int) -> None:
    exchange = ForgetfulExchange(times)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: exchange, local_addr=("127.0.0.1", 0)
    )
    phone = Phone("201", transport.get_extra_info("sockname"), secret="secret")
    try:
        if times == 3:
            with pytest.raises(CallFailed, match="401"):
                await phone.start()
        else:
            await phone.start()
        assert exchange.numbers == list(range(1, min(2 + times, 4) + 1))
    finally:
        await phone.close()
        transport.close()
