"""Settings from the environment, and the key that signs sessions."""

import stat
from pathlib import Path

import pytest

from app import create_app
from app.config import ConfigError, Settings, load_settings, secret_key
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
        ("AGI_PORT", "65536", "less than or equal to 65535"),
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
    ],
)
def test_an_invalid_setting_is_an_error_with_its_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(f"BAZANG_{name}", value)
    with pytest.raises(ConfigError) as refused:
        load_settings(_env_file=None, data_dir=settings.data_dir)
    (line,) = str(refused.value).splitlines()
    named = "ASTERISK_PROMPTS_DIR" if name == "PROMPTS_DIR" else name
    assert line.startswith(f"BAZANG_{named}: ")
    assert message in line


@pytest.mark.parametrize(
    "url",
    ["sqlite:////srv/bazang.sqlite3", "postgresql://bazang@/bazang?host=/run", "postgresql+psycopg://a:b@h:5432/c"],
)
def test_valid_database_urls(settings: Settings, url: str) -> None:
    assert load_settings(_env_file=None, data_dir=settings.data_dir, database_url=url).database_url == url


def test_an_error_does_not_repeat_a_secret(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAZANG_DATABASE_URL", "postgres://bazang:geheim@localhost/bazang")
    with pytest.raises(ConfigError) as refused:
        load_settings(_env_file=None, data_dir=settings.data_dir)
    assert "geheim" not in str(refused.value)


def test_a_data_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="BAZANG_DATA_DIR: "):
        create_app(make_settings(tmp_path / "file/data"))


def test_processes_that_start_together_share_one_secret_key(settings: Settings) -> None:
    keys = run_at_once([lambda: secret_key(settings)] * 12)
    assert len(set(keys)) == 1
    assert len(keys[0]) == 64
    (file,) = settings.data_dir.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret_key(settings) == keys[0]
