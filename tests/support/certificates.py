"""Certificates for tests: signed by a CA of their own, for the address 127.0.0.1 or a name."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_SIGNS_CERTIFICATES = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Certificate:
    """The files of a certificate, its key and its CA."""

    certificate: Path
    key: Path
    ca: Path
    fingerprint: str


def make_certificate(folder: Path, host: str = "", *, has_identifiers: bool = True) -> Certificate:
    """Make a CA and a certificate in a folder: for a host name, or for 127.0.0.1.

    `has_identifiers`: they have key identifiers, as those of public CAs have, and those of ast_tls_cert do not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name, name = _name("Test CA"), _name("pbx")
    limits = x509.BasicConstraints(ca=True, path_length=0)
    draft = _builder(ca_name, ca_name, ca_key).add_extension(limits, critical=True)
    if has_identifiers:
        draft = draft.add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        draft = draft.add_extension(_SIGNS_CERTIFICATES, critical=True)
    ca = draft.sign(ca_key, SHA256())
    holder = x509.DNSName(host) if host else x509.IPAddress(ip_address("127.0.0.1"))
    addresses = x509.SubjectAlternativeName([holder])
    draft = _builder(name, ca_name, key).add_extension(addresses, critical=False)
    if has_identifiers:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        draft = draft.add_extension(issuer, critical=False)
    signed = draft.sign(ca_key, SHA256())
    made = Certificate(folder / "pbx.pem", folder / "pbx.key", folder / "ca.pem", "")
    made.certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    made.ca.write_bytes(ca.public_bytes(Encoding.PEM))
    digest = sha256(signed.public_bytes(Encoding.DER)).hexdigest()
    return Certificate(made.certificate, made.key, made.ca, digest)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=7))
    )
