"""AMI over TLS: nothing is sent to a peer whose certificate is not the expected one."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.pbx_connection import ConnectionResult
from app.telephony.ami import AmiClient, AmiState, AmiTimes
from app.telephony.ami_tls import AmiTls
from app.telephony.connection_check import check_connection
from script.office.patience import PATIENCE
from tests.support.certificates import Certificate, make_certificate
from tests.support.fake_ami import FakeAmi, Received, fake_ami

TIMES = AmiTimes(action=PATIENCE, login=PATIENCE, booted=0.05, pauses=(60,))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate such as that of Asterisk's ast_tls_cert."""
    return make_certificate(tmp_path_factory.mktemp("certificate"), has_identifiers=False)


@pytest.fixture
async def fake(certificate: Certificate) -> AsyncIterator[FakeAmi]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    async with fake_ami(tls=context) as server:
        yield server


async def connect(fake: FakeAmi, tls: AmiTls | None) -> AmiState:
    """Return the state after the first attempt to connect."""
    states = Received[AmiState]()
    client = AmiClient(
        fake.host, fake.port, "bazang", "secret", tls=tls, times=TIMES, on_event=lambda _: None, on_state=states.append
    )
    await client.start()
    try:
        return (await states.until(lambda seen: [state for state in seen if state.status != "connecting"]))[0]
    finally:
        await client.stop()


async def test_the_expected_certificate_is_accepted(fake: FakeAmi, certificate: Certificate) -> None:
    for tls in (AmiTls(fingerprint=certificate.fingerprint), AmiTls(ca=str(certificate.ca))):
        assert (await connect(fake, tls)).status == "connected"


@pytest.mark.parametrize("wrong", ["fingerprint", "ca", "no ca"])
async def test_another_certificate_gets_nothing(
    fake: FakeAmi, certificate: Certificate, tmp_path: Path, wrong: str
) -> None:
    other = make_certificate(tmp_path)
    options = {"fingerprint": {"fingerprint": other.fingerprint}, "ca": {"ca": str(other.ca)}, "no ca": {}}
    tls = AmiTls(**options[wrong])
    state = await connect(fake, tls)
    assert state.status == "down" and "certificate" in state.detail
    report = await check_connection(fake.host, fake.port, "bazang", "secret", seconds=PATIENCE, tls=tls)
    assert report.result is ConnectionResult.CERTIFICATE
    assert fake.received == b""


async def test_a_certificate_for_another_host_gets_nothing(fake: FakeAmi, certificate: Certificate) -> None:
    fake.host = "localhost"  # the certificate is for 127.0.0.1
    state = await connect(fake, AmiTls(ca=str(certificate.ca)))
    assert state.status == "down" and "localhost" in state.detail
    assert fake.received == b""


async def test_a_peer_without_tls_gets_no_login(certificate: Certificate) -> None:
    tls = AmiTls(fingerprint=certificate.fingerprint)
    async with fake_ami() as plain:
        assert (await connect(plain, tls)).status == "down"
        report = await check_connection(plain.host, plain.port, "bazang", "secret", seconds=PATIENCE, tls=tls)
        assert report.result is ConnectionResult.CERTIFICATE
        assert plain.actions == []


async def test_a_missing_file_of_the_ca_is_reported(fake: FakeAmi, tmp_path: Path) -> None:
    tls = replace(AmiTls(), ca=str(tmp_path / "missing.pem"))
    assert "No such file" in (await connect(fake, tls)).detail
