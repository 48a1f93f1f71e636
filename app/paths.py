"""Check every folder and file that the settings name. Creates missing folders, changes nothing else."""

import os
import pwd
from contextlib import suppress
from pathlib import Path

from app.config import PREFIX, Settings
from app.domain.file_access import ENTER, READ, Identity, Permissions, allows

SQLITE = "sqlite:///"
OPTIONAL = frozenset({"voices_dir"})  # Bazang works without it


def find_faults(settings: Settings) -> dict[str, str]:
    """Return what is wrong with the path of each setting, as one line; empty if all can be used."""
    faults = {
        "data_dir": folder_fault(settings.data_dir),
        "database_url": _database_fault(settings.database_url),
        "prompts_dir": folder_fault(settings.prompts_path),
        "dialplan_file": _file_fault(settings.dialplan_path),
        "voices_dir": _voices_fault(settings),
    }
    return {name: f"{PREFIX}{name.upper()}: {fault}" for name, fault in faults.items() if fault}


def folder_fault(folder: Path) -> str:
    """Create a folder if it is missing. Return why it cannot be written, "" if it can."""
    error = folder_error(folder)
    return f"{folder} cannot be written: {error}" if error else ""


def folder_error(folder: Path) -> str:
    """Create a folder if it is missing. Return what the system says if it cannot be written, "" if it can."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        _make_folder(folder)
        probe.touch()
    except OSError as error:
        return str(error)
    finally:
        with suppress(OSError):
            probe.unlink()
    return ""


def _make_folder(folder: Path) -> None:
    """Create a folder that Asterisk, as another user, can enter whatever the umask is."""
    for new in reversed([parent for parent in (folder, *folder.parents) if not parent.exists()]):
        new.mkdir(exist_ok=True)
        new.chmod(0o755)


def _file_fault(file: Path) -> str:
    """Return why a file cannot be written, "" if it can."""
    fault = folder_fault(file.parent)
    if not fault and file.exists() and not file.is_file():
        return f"{file} is no file"
    return fault


def _database_fault(url: str) -> str:
    """Return why the file of an SQLite database cannot be written, "" if it can or there is none."""
    if not url.startswith(SQLITE):
        return ""
    file = Path(url.removeprefix(SQLITE).partition("?")[0])
    fault = _file_fault(file)
    if not fault and file.exists() and not os.access(file, os.R_OK | os.W_OK):
        return f"{file} cannot be written"
    return fault


def _voices_fault(settings: Settings) -> str:
    """Return why the folder of voices cannot be read, "" if it can. It is optional and only read."""
    folder = settings.voices_path
    try:
        if settings.from_environment("voices_dir"):
            folder.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            next(folder.iterdir(), None)
    except OSError as error:
        return f"{folder} cannot be read: {error}"
    return ""


# -- what another user may use ----------------------------------------------------------------------------------------


def find_user(name: str) -> Identity | None:
    """Return a user of this machine, None if there is none of this name."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return None
    return Identity(user.pw_uid, frozenset(os.getgrouplist(name, user.pw_gid)))


def find_closed(path: Path, who: Identity | None) -> list[Path]:
    """Return the folders above a file that a user may not enter, and the file itself if the user may not read it.

    `path` may be a folder to be entered. None as `who`: a user of whom nothing is known. Raises OSError.
    """
    folders = [*reversed(path.parents), *([path] if path.is_dir() else [])]
    closed = [folder for folder in folders if not _allows(folder, who, ENTER)]
    return closed if path.is_dir() or _allows(path, who, READ) else [*closed, path]


def _allows(path: Path, who: Identity | None, need: int) -> bool:
    found = path.stat()
    return allows(Permissions(found.st_mode, found.st_uid, found.st_gid), who, need)
