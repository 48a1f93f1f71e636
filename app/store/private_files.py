"""Keep the data folder private. Its files hold customers' numbers, password hashes and keys.

Asterisk reads the prompts and the dialplan as another user. While their folders lie in the data folder, others may pass
through the data folder (mode 0711), but not list it; otherwise it has mode 0700. All its files have mode 0600.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url

from app.config import Settings

_OTHERS = 0o077  # the rights of the group and of all others
_PASS = 0o011  # to enter a folder without listing it


def make_data_folder(settings: Settings) -> None:
    """Create the data folder if it is missing. Raises OSError."""
    folder = settings.data_dir
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        new.chmod(_folder_mode(settings) if new == folder else 0o755)  # whatever the umask is


def create_database_file(settings: Settings) -> None:
    """Create the file of an SQLite database, so that it is private from the start. SQLite gives its mode to -wal."""
    database = _database_file(settings)
    if database is not None and database.parent.is_dir():
        try:
            os.close(os.open(database, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError:
            pass  # the error appears again when the database is opened


def close_to_others(settings: Settings) -> list[str]:
    """Take the rights of other users from the data folder and its files. Return what failed, one line each."""
    failed = []
    for path, allowed in _open_to_others(settings):
        try:
            path.chmod(stat.S_IMODE(path.stat().st_mode) & allowed)
        except FileNotFoundError:
            pass  # SQLite has just deleted it
        except OSError as error:
            failed.append(f"Other users can read {path}, and this cannot be changed: {error.strerror}.")
    return failed


def open_to_others(settings: Settings) -> list[tuple[Path, int]]:
    """Return the paths on which other users have rights that they must not have, each with the mode that it needs."""
    found = _open_to_others(settings)
    return [(path, 0o600 if path.is_file() else 0o700 | (allowed & _PASS)) for path, allowed in found]


def _open_to_others(settings: Settings) -> Iterator[tuple[Path, int]]:
    """Yield the paths that are open to others, each with a mask of the rights that may stay."""
    if not settings.data_dir.is_dir():
        return
    allowed = ~_OTHERS | (_PASS if _is_shared(settings) else 0)
    if stat.S_IMODE(settings.data_dir.stat().st_mode) & ~allowed:
        yield settings.data_dir, allowed
    for path in sorted(set(_private_files(settings))):
        if _is_open(path):
            yield path, ~_OTHERS


def _folder_mode(settings: Settings) -> int:
    return 0o711 if _is_shared(settings) else 0o700


def _is_shared(settings: Settings) -> bool:
    """Return whether the data folder contains something that Asterisk reads."""
    folder = settings.data_dir.resolve()
    return any(path.resolve().is_relative_to(folder) for path in (settings.prompts_path, settings.dialplan_path))


def _private_files(settings: Settings) -> Iterator[Path]:
    """Yield the files of the data folder, databases and their copies in its subfolders, and a database elsewhere."""
    shared = {settings.prompts_path, settings.dialplan_path.parent, settings.voices_path}
    for path in _list(settings.data_dir):
        if path not in shared and path != settings.dialplan_path:
            yield path
            if path.is_dir() and not path.is_symlink():
                yield from path.glob("*.sqlite3*")
    database = _database_file(settings)
    if database is not None:
        yield from _list(database.parent, f"{database.name}*")  # also -wal, -shm, and copies such as .bak


def _list(folder: Path, pattern: str = "*") -> list[Path]:
    try:
        return list(folder.glob(pattern))
    except OSError:
        return []


def _is_open(path: Path) -> bool:
    """Return whether others have rights on a regular file. False if it has just been deleted."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & _OTHERS)


def _database_file(settings: Settings) -> Path | None:
    url = make_url(settings.database_url)
    is_file = url.get_backend_name() == "sqlite" and Path(url.database or "").is_absolute()
    return Path(url.database or "").resolve() if is_file else None
