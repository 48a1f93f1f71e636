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


@dataclass(frozen=True)
class Certificate:
    """The files of a certificate, its key and its CA."""

    certificate: Path
    key: Path
    ca: Path
    fingerprint: str


def make_certificate(folder: Path, host: str = "") -> Certificate:
    """Make a CA and a certificate in a folder: for a host name, or for 127.0.0.1."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name, name = _name("Test CA"), _name("pbx")
    limits = x509.BasicConstraints(ca=True, path_length=0)
    ca = _builder(ca_name, ca_name, ca_key).add_extension(limits, critical=True).sign(ca_key, SHA256())
    holder = x509.DNSName(host) if host else x509.IPAddress(ip_address("127.0.0.1"))
    addresses = x509.SubjectAlternativeName([holder])
    signed = _builder(name, ca_name, key).add_extension(addresses, critical=False).sign(ca_key, SHA256())
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
