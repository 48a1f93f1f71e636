"""The test phone itself, beside an exchange made of one socket: a busy machine must not make it fail."""

import asyncio

from tests.support.phone import Phone
from tests.support.sip import SipMessage, build, parse


class TardyExchange(asyncio.DatagramProtocol):
    """Answers each REGISTER without credentials twice, as one does that is asked again before it has answered."""

    def __init__(self) -> None:
        self.authorized = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

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
        self.transport.sendto(build(f"SIP/2.0 {status}", headers), address)  # type: ignore[attr-defined]


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
