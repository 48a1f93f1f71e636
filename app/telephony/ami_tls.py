"""TLS between us and the PBX. The certificate is checked before anything is sent."""

import hmac
import ssl
from dataclasses import dataclass
from hashlib import sha256
from typing import Any


class BadCertificate(OSError):
    """The PBX has another certificate than the expected one."""


@dataclass(frozen=True)
class AmiTls:
    """How the certificate of the PBX is checked.

    `fingerprint` is the SHA-256 of the certificate in 64 hex digits. Without it, a CA in the file `ca`, or one that
    this machine trusts, must have signed a certificate for the host name.
    """

    ca: str = ""
    fingerprint: str = ""

    def context(self) -> ssl.SSLContext:
        """Return the settings of a connection. Raises OSError if the file `ca` cannot be read. Blocks shortly."""
        if not self.fingerprint:
            context = ssl.create_default_context(cafile=self.ca or None)
            # Python 3.13 asks for key identifiers. The certificates of Asterisk's own ast_tls_cert have none.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            return context
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # `check` compares the certificate itself, which says more than a name
        context.verify_mode = ssl.CERT_NONE
        return context

    def check(self, transport: Any) -> None:
        """Check the certificate of a connection. Raises BadCertificate. Call this before anything is sent."""
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
        found = sha256(certificate).hexdigest()
        if self.fingerprint and not hmac.compare_digest(found, self.fingerprint):
            raise BadCertificate(f"the certificate of the PBX has the fingerprint {found}, not the expected one")


def make_tls(enabled: bool, ca: str, fingerprint: str) -> AmiTls | None:
    """Return how to check the certificate; None if the connection does not use TLS."""
    return AmiTls(ca, fingerprint) if enabled else None
