"""Settings from the environment, and the key that signs sessions."""

import stat
from pathlib import Path
from typing import Any

import pytest

from app import config, create_app
from app.config import ConfigError, Settings, command, load_settings, secret_key
from script.office.database import make_settings
from tests.support.factories import run_at_once


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TIMEZONE", "Mars", "unknown time zone: 'Mars'"),
        ("TIMEZONE", "Asia", "unknown time zone: 'Asia'"),
        ("TIMEZONE", "", "unknown time zone: ''"),
        ("TIMEZONE", "../../etc/passwd", "unknown time zone"),
        ("DEFAULT_REGION", "Iran", "unknown country: 'Iran'"),
        ("DEFAULT_LOCALE", "de", "'fa' or 'en'"),
        ("PBX_PROFILE", "cisco", "'asterisk' or 'freepbx'"),
        ("AMI_PORT", "0", "greater than or equal to 1"),
        ("AMI_PORT", "fifty", "valid integer"),
        ("AMI_FINGERPRINT", "ab:cd", "64 hex digits"),
        ("AGI_PORT", "65536", "less than or equal to 65535"),
        ("LISTEN", "8000", "match pattern"),
        ("OIDC_ISSUER", "http://login.example.org", "expected an https address"),
        ("OIDC_ISSUER", "login.example.org", "expected an address"),
        ("OIDC_SCOPES", "profile", '"openid" among the scopes'),
        ("OIDC_CA", "/nowhere/ca.pem", "expected a file"),
        ("LDAP_SERVERS", "dc1.example.org", "expected ldaps://HOST"),
        ("LDAP_SERVERS", "ldaps://dc1:x", "Port"),
        ("LDAP_TLS", "maybe", "'required' or 'none'"),
        ("LDAP_USER_FILTER", "(uid=*)", "expected {name}"),
        ("LISTEN", "::1:8000x", "match pattern"),
        ("TRUSTED_PROXIES", "-1", "greater than or equal to 0"),
        ("TRUSTED_PROXIES", "10", "less than or equal to 9"),
        ("POLL_SECONDS", "0", "greater than or equal to 0.2"),
        ("POLL_SECONDS", "nan", ""),
        ("POLL_SECONDS", "inf", "less than or equal to 60"),
        ("AREA_CODE", "+98", "match pattern"),
        ("OUTBOUND_CONTEXT", "from internal", "match pattern"),
        ("EXTENSION_CONTEXT", "a;b", "match pattern"),
        ("QUEUE_CONTEXT", "a,b", "match pattern"),
        ("DATABASE_URL", "mysql://root@localhost/bazang", "expected sqlite:///FILE or postgresql"),
        ("DATABASE_URL", "sqlite://", "expected sqlite:///FILE or postgresql"),
        ("DATABASE_URL", "sqlite:///:memory:", "expected sqlite:///FILE or postgresql"),
        ("DATABASE_URL", "postgresql://bazang@localhost:port/bazang", "Port"),
        ("ASTERISK_PROMPTS_DIR", "/srv/a,b", "'/srv/a,b'"),
        ("PROMPTS_DIR", "/srv/a&b", "'/srv/a&b'"),
        ("PROMPTS_DIR", "/srv/a|b", "'/srv/a|b'"),
        ("PROMPTS_DIR", "/srv/a\nb", "a path has no line breaks"),
        ("VOICES_DIR", "/srv/a\nb", "a path has no line breaks"),
        ("DATABASE_URL", "sqlite:////srv/a\tb", "a path has no line breaks"),
        ("DIALPLAN_FILE", "/etc/asterisk/a;b.conf", "Asterisk cannot include '/etc/asterisk/a;b.conf'"),
        ("DIALPLAN_FILE", "/etc/asterisk/[a].conf", "Asterisk cannot include"),
    ],
)
def test_an_invalid_setting_is_an_error_with_its_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(f"BAZANG_{name}", value)
    with pytest.raises(ConfigError) as refused:
        load_settings(_env_file=None, data_dir=settings.data_dir)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"BAZANG_{name}: ")
    assert message in line


@pytest.mark.parametrize(
    "url",
    ["sqlite:////srv/bazang.sqlite3", "postgresql://bazang@/bazang?host=/run", "postgresql+psycopg://a:b@h:5432/c"],
)
def test_valid_database_urls(settings: Settings, url: str) -> None:
    assert load_settings(_env_file=None, data_dir=settings.data_dir, database_url=url).database_url == url


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_an_error_does_not_repeat_a_secret(settings: Settings, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("BAZANG_DATABASE_URL", f"{scheme}://bazang:geheim@localhost/bazang\t")
    with pytest.raises(ConfigError) as refused:
        load_settings(_env_file=None, data_dir=settings.data_dir)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("name", ["a&b", "a|b", "a;b"])
def test_a_data_folder_from_which_asterisk_cannot_play_is_an_error_unless_the_prompts_lie_elsewhere(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    with pytest.raises(ConfigError, match=r"^BAZANG_DATA_DIR: Asterisk cannot"):
        load_settings(_env_file=None, data_dir=folder)
    elsewhere = {"prompts_dir": tmp_path / "prompts", "dialplan_file": tmp_path / "bazang.conf"}
    assert load_settings(_env_file=None, data_dir=folder, **elsewhere).data_dir == folder


@pytest.mark.parametrize("setting", ["data_dir", "database_url"])
def test_a_folder_without_which_nothing_works_is_an_error(tmp_path: Path, setting: str) -> None:
    (tmp_path / "file").touch()
    values: dict[str, Any] = {"data_dir": tmp_path / "file/data"} if setting == "data_dir" else {}
    values |= {"database_url": f"sqlite:///{tmp_path}/file/data/bazang.sqlite3"} if setting == "database_url" else {}
    with pytest.raises(ConfigError, match=rf"^BAZANG_{setting.upper()}: .*cannot be written.*\Z"):
        create_app(load_settings(_env_file=None, **{"data_dir": tmp_path / "data"} | values))


def test_other_folders_that_cannot_be_used_are_named_when_the_panel_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "bazang.conf").mkdir()
    values = {"prompts_dir": tmp_path / "file/prompts", "dialplan_file": tmp_path / "bazang.conf"}
    create_app(make_settings(tmp_path / "data", **values, voices_dir=tmp_path / "file"))
    prompts, dialplan, voices = caplog.messages
    assert prompts.startswith(f"BAZANG_PROMPTS_DIR: {tmp_path}/file/prompts cannot be written")
    assert dialplan == f"BAZANG_DIALPLAN_FILE: {tmp_path}/bazang.conf is no file"
    assert voices.startswith(f"BAZANG_VOICES_DIR: {tmp_path}/file cannot be read")


def test_missing_folders_are_created_and_left_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = {"prompts_dir": tmp_path / "a b/prompts", "dialplan_file": tmp_path / "صدا/bazang.conf"}
    create_app(make_settings(tmp_path / "data", **values, voices_dir=tmp_path / "voices"))
    assert caplog.messages == []
    for folder in ("a b/prompts", "صدا", "voices"):
        assert list((tmp_path / folder).iterdir()) == []


def test_processes_that_start_together_share_one_secret_key(settings: Settings) -> None:
    keys = run_at_once([lambda: secret_key(settings)] * 12)
    assert len(set(keys)) == 1
    assert len(keys[0]) == 64
    (file,) = settings.data_dir.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret_key(settings) == keys[0]


def test_tls_has_its_own_port_and_a_fingerprint_as_openssl_prints_it(tmp_path: Path) -> None:
    digits = "0123456789abcdef" * 4
    printed = "sha256 Fingerprint=" + ":".join(digits[i : i + 2].upper() for i in range(0, 64, 2))
    settings = make_settings(tmp_path, ami_tls=True, ami_fingerprint=printed)
    assert (settings.ami_port, settings.ami_fingerprint) == (5039, digits)
    assert make_settings(tmp_path, ami_tls=True, ami_port=5038).ami_port == 5038
    assert make_settings(tmp_path).ami_port == 5038


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"oidc_issuer": "https://login.example.org"}, "BAZANG_OIDC_CLIENT_ID"),
        ({"oidc_issuer": "https://login.example.org", "oidc_client_id": "x"}, "BAZANG_OIDC_OPERATOR_GROUPS"),
        ({"ldap_servers": "ldaps://dc1"}, "BAZANG_LDAP_USER_BASE"),
        ({"ldap_servers": "ldaps://dc1", "ldap_user_base": "dc=x"}, "BAZANG_LDAP_OPERATOR_GROUPS"),
        ({"ldap_bind_dn": "cn=bazang"}, "BAZANG_LDAP_BIND_PASSWORD"),
    ],
)
def test_a_half_configured_log_in_is_refused(given: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: expected"):
        load_settings(_env_file=None, **given)


def test_a_further_exchange_has_nothing_of_the_first_ones_pbx(tmp_path: Path) -> None:
    first = make_settings(
        tmp_path,
        ami_host="10.0.0.1",
        ami_secret="secret",
        pbx_profile="freepbx",
        outbound_context="out",
        timezone="Europe/Berlin",
        agi_port=4580,
        dialplan_file=tmp_path / "dialplan/bazang.conf",
        asterisk_prompts_dir="/srv/prompts",
    )
    north = first.for_exchange("north")
    assert first.for_exchange("main") is first
    assert (north.ami_host, north.ami_secret, north.pbx_profile, north.outbound_context) == (
        "127.0.0.1",
        "",
        "asterisk",
        "",
    )
    assert not any(north.from_environment(name) for name in ("ami_host", "ami_secret", "pbx_profile", "timezone"))
    assert north.timezone == "Europe/Berlin", "the default of every exchange"
    assert north.from_environment("agi_port") and north.agi_port == 4580
    assert north.dialplan_path == tmp_path / "dialplan/bazang-north.conf"
    assert north.prompts_path == tmp_path / "prompts/exchanges/north"
    assert north.asterisk_prompts_dir == "/srv/prompts/exchanges/north"
    assert first.only_for_first() == [
        "BAZANG_AMI_HOST",
        "BAZANG_AMI_SECRET",
        "BAZANG_OUTBOUND_CONTEXT",
        "BAZANG_PBX_PROFILE",
    ]
    assert first.from_environment("ami_host"), "the settings of the first exchange stay as they are"


@pytest.mark.parametrize(
    ("program", "name", "exchange", "shown"),
    [
        ("/opt/bazang", "doctor", "main", ".venv/bin/flask --app wsgi doctor"),
        ("/opt/bazang", "worker", "main", ".venv/bin/flask --app wsgi worker"),
        ("/opt/bazang", "worker", "north", "BAZANG_EXCHANGE=north .venv/bin/flask --app wsgi worker"),
        ("/usr/lib/bazang/0.1.0", "setup-link", "main", "sudo bazang setup-link"),
        ("/usr/lib/bazang/0.1.0", "doctor", "north", "sudo BAZANG_EXCHANGE=north bazang doctor"),
        ("/usr/lib/bazang/0.1.0", "worker", "main", "sudo systemctl start bazang-worker"),
        ("/usr/lib/bazang/0.1.0", "worker", "north", "sudo systemctl start bazang-worker-north"),
    ],
)
def test_commands_are_shown_as_this_installation_has_them(
    monkeypatch: pytest.MonkeyPatch, program: str, name: str, exchange: str, shown: str
) -> None:
    monkeypatch.setattr(config, "PROGRAM", Path(program))
    assert command(name, exchange) == shown
