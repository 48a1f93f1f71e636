"""Start a real OpenLDAP server on 127.0.0.1, with people and groups as OpenLDAP and as Active Directory have them."""

import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.server.process import kill, spawn
from script.lib.package_files import PackageFile
from script.office.patience import PATIENCE
from script.office.ports import free_port
from tests.support.certificates import Certificate

BASE = "dc=example,dc=org"
READER, READER_PASSWORD = f"cn=reader,{BASE}", "reads only"
PASSWORD = "correct donkey"
# uid -> name of the entry; some have what is special in filters and names
PEOPLE = {
    "mehdi": f"uid=mehdi,ou=people,{BASE}",
    "parisa": f"uid=parisa,ou=people,{BASE}",
    "star*": f"uid=star*,ou=people,{BASE}",
    "o'neil, (jr)": f"uid=o'neil\\2C (jr),ou=people,{BASE}",
    "نیما": f"uid=نیما,ou=people,{BASE}",
    "guest": f"uid=guest,ou=people,{BASE}",
}
GUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"  # of zahra in Active Directory


@dataclass(frozen=True)
class Slapd:
    """A running server. `url` is plain, and may be upgraded by STARTTLS if it has a certificate."""

    url: str
    tls_url: str
    process: "subprocess.Popen[bytes]"


@contextmanager
def start_slapd(program: PackageFile, folder: Path, certificate: Certificate | None = None) -> Iterator[Slapd]:
    """Fill a new server and run it."""
    root = program.root()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "db").mkdir()
    port, tls_port = free_port(), free_port()
    config, entries = folder / "slapd.conf", folder / "entries.ldif"
    config.write_text(_config(root, folder, certificate), encoding="utf-8")
    entries.write_text(_entries(), encoding="utf-8")
    libraries = [root / "usr/lib" / f"{platform.machine()}-linux-gnu", root / "usr/lib/ldap"]
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))}
    add = [str(root / "usr/sbin/slapd"), "-T", "add", "-f", str(config), "-l", str(entries)]
    added = subprocess.run(add, env=environment, capture_output=True, text=True)
    assert added.returncode == 0, added.stderr
    urls = [f"ldap://127.0.0.1:{port}"] + ([f"ldaps://127.0.0.1:{tls_port}"] if certificate else [])
    log = folder / "slapd.log"
    run = [str(root / "usr/sbin/slapd"), "-d", "0", "-f", str(config), "-h", " ".join(urls)]
    process = spawn(run, log, environment=environment)
    try:
        _wait(port, process, log)
        yield Slapd(urls[0], urls[-1], process)
    finally:
        kill(process)


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    import socket

    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _config(root: Path, folder: Path, certificate: Certificate | None) -> str:
    schemas = [f"include {root}/etc/ldap/schema/{name}.schema" for name in ("core", "cosine", "inetorgperson")]
    modules = [f"modulepath {root}/usr/lib/ldap", "moduleload back_mdb", "moduleload memberof"]
    tls = (
        [f"TLSCertificateFile {certificate.certificate}", f"TLSCertificateKeyFile {certificate.key}"]
        if certificate
        else []
    )
    # The attributes of Active Directory that are asked for, under their real names.
    own = [
        *("attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName'", " EQUALITY caseIgnoreMatch"),
        *(" SUBSTR caseIgnoreSubstringsMatch SYNTAX '1.3.6.1.4.1.1466.115.121.1.15' SINGLE-VALUE )",),
        "attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' EQUALITY octetStringMatch",
        " SYNTAX '1.3.6.1.4.1.1466.115.121.1.40' SINGLE-VALUE )",
        "objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP inetOrgPerson STRUCTURAL",
        " MAY ( sAMAccountName $ objectGUID ) )",
    ]
    database = [
        *("database mdb", f'suffix "{BASE}"', f"directory {folder}/db", "maxsize 16777216", "dbnosync"),
        *(f'rootdn "cn=root,{BASE}"', "rootpw root", "index uid,objectClass eq", "overlay memberof"),
        "access to attrs=userPassword by anonymous auth by * none",
        f'access to * by dn.exact="{READER}" read by self read by users read by anonymous auth',
    ]
    own_text = "\n".join(line for line in own).replace("\n EQ", " EQ").replace("\n S", " S").replace("\n MAY", " MAY")
    pid = [f"pidfile {folder}/pid", f"argsfile {folder}/args"]
    return "\n".join([*schemas, own_text, *pid, *modules, *tls, *database]) + "\n"


def _entries() -> str:
    import base64
    from uuid import UUID

    blocks = [
        f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example",
        *(f"dn: ou={ou},{BASE}\nobjectClass: organizationalUnit\nou: {ou}" for ou in ("people", "groups", "ad")),
        f"dn: {READER}\nobjectClass: person\ncn: reader\nsn: reader\nuserPassword: {READER_PASSWORD}",
    ]
    for uid, dn in PEOPLE.items():
        encoded = base64.b64encode(dn.encode()).decode()
        uid64 = base64.b64encode(uid.encode()).decode()
        blocks.append(
            f"dn:: {encoded}\nobjectClass: inetOrgPerson\nuid:: {uid64}\ncn:: {uid64}\nsn: x\n"
            f"telephoneNumber: 101\nuserPassword: {PASSWORD}"
        )
    guid = base64.b64encode(UUID(GUID).bytes_le).decode()
    blocks.append(
        f"dn: cn=Zahra Ahmadi,ou=ad,{BASE}\nobjectClass: user\ncn: Zahra Ahmadi\nsn: Ahmadi\nsAMAccountName: zahra\n"
        f"objectGUID:: {guid}\nuserPassword: {PASSWORD}"
    )
    groups = {
        f"cn=Bazang Admins,ou=groups,{BASE}": [PEOPLE["mehdi"], f"cn=Zahra Ahmadi,ou=ad,{BASE}"],
        f"cn=operators,ou=groups,{BASE}": [dn for uid, dn in PEOPLE.items() if uid != "guest"],
    }
    for dn, members in groups.items():
        lines = "".join(f"\nmember:: {base64.b64encode(member.encode()).decode()}" for member in members)
        blocks.append(f"dn: {dn}\nobjectClass: groupOfNames\ncn: {dn.split(',')[0][3:]}{lines}")
    return "\n\n".join(blocks) + "\n"
