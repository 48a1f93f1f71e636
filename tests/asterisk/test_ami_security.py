"""The log-in at a real Asterisk: by a challenge, over TLS, and without the right to change its files."""

from pathlib import Path

from app.domain.pbx_connection import ConnectionReport, ConnectionResult
from app.telephony.ami_tls import AmiTls
from app.telephony.connection_check import check_connection
from script.office.asterisk import AsteriskOffice, OfficeSetup, free_port
from script.office.patience import PATIENCE
from tests.support.ami_proxy import ami_proxy
from tests.support.certificates import make_certificate

RIGHTS = "read=call,user,agent\nwrite=originate,call,agent,reporting"


async def test_the_secret_is_never_sent_and_the_certificate_is_checked(asterisk_version: int, tmp_path: Path) -> None:
    ours, other = (make_certificate(tmp_path / name) for name in ("ours", "other"))
    tls_port = free_port()
    general = (
        f"tlsenable=yes\ntlsbindaddr=127.0.0.1:{tls_port}\ntlscertfile={ours.certificate}\ntlsprivatekey={ours.key}\n"
    )
    setup = OfficeSetup(ami_general=general, ami_rights=RIGHTS)
    async with AsteriskOffice(asterisk_version, tmp_path / "office", setup) as asterisk:

        async def test(port: int, secret: str = asterisk.ami_secret, tls: AmiTls | None = None) -> ConnectionReport:
            return await check_connection("127.0.0.1", port, asterisk.ami_username, secret, seconds=PATIENCE, tls=tls)

        async with ami_proxy(asterisk.ami_port) as proxy:
            report = await test(proxy.port)
            assert (report.result, report.may_reload) == (ConnectionResult.CONNECTED, False)
            assert (await test(proxy.port, "wrong")).result is ConnectionResult.REFUSED
            assert b"AuthType: MD5" in proxy.sent and asterisk.ami_secret.encode() not in proxy.sent
        for tls in (AmiTls(fingerprint=ours.fingerprint), AmiTls(ca=str(ours.ca))):
            assert (await test(tls_port, tls=tls)).result is ConnectionResult.CONNECTED
        for tls in (AmiTls(fingerprint=other.fingerprint), AmiTls(ca=str(other.ca))):
            assert (await test(tls_port, tls=tls)).result is ConnectionResult.CERTIFICATE
        assert (await test(asterisk.ami_port, tls=AmiTls(ca=str(ours.ca)))).result is ConnectionResult.CERTIFICATE
