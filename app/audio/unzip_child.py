"""Child process: unpack the sounds of a zip file. Started by path, so it imports nothing of ours.

Reads {"source", "folder", "wanted", "ignored", "most_files", "most_bytes", "most_bytes_in_all", "timeout"} as JSON from
standard input. A file of the zip is wanted if its name without folders and extension is one of `wanted`. Writes
{"files": [[its name, its wanted name, the unpacked file]...], "faults": [[its name, code]...]} or {"fault": code} to
standard output.

No name of the zip becomes a path: the unpacked files are numbered. Sizes are counted and not believed.
"""

import json
import os
import re
import signal
import sys
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

# What zipfile raises for a damaged archive, an unknown compression (NotImplementedError), or a password (RuntimeError).
_UNREADABLE = (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError)
BLOCK = 1 << 16
LONGEST_NAME = 200
_NO_FILE = re.compile(r"(?:.*/)?(?:__MACOSX/.*|\.[^/]*|Thumbs\.db|desktop\.ini)", re.IGNORECASE)


def unpack(request: dict[str, Any]) -> dict[str, Any]:
    with zipfile.ZipFile(request["source"]) as archive:
        names = {entry: entry.filename.replace("\\", "/") for entry in archive.infolist() if not entry.is_dir()}
        entries = {entry: name for entry, name in names.items() if not _NO_FILE.fullmatch(name)}
        if len(entries) > request["most_files"]:
            return {"fault": "too_many_files"}
        files: list[list[str]] = []
        faults: list[list[str]] = []
        rest = request["most_bytes_in_all"]
        for entry, name in entries.items():
            path = PurePosixPath(name)
            if path.name in request["ignored"]:
                continue
            wanted = path.stem.lower()
            fault = find_fault(entry, name, wanted, request["wanted"], [file[1] for file in files])
            if not fault:
                target = Path(request["folder"]) / str(len(files))
                fault, size = copy(archive, entry, target, min(request["most_bytes"], rest))
                rest -= size
                if fault == "too_large" and rest <= 0:
                    return {"fault": "too_large_in_all"}
            if not fault:
                files.append([name[:LONGEST_NAME], wanted, str(target)])
            else:
                faults.append([name[:LONGEST_NAME], fault])
        return {"files": files, "faults": faults}


def find_fault(entry: zipfile.ZipInfo, name: str, wanted: str, names: list[str], seen: list[str]) -> str:
    """Return why a file is refused before it is read, "" if it is not."""
    if name.startswith("/") or ".." in name.split("/") or ":" in name or "\0" in name:
        return "unsafe_name"
    if wanted not in names:
        return "unknown_name"
    if wanted in seen:
        return "twice"
    return "encrypted" if entry.flag_bits & 1 else ""


def copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, most: int) -> tuple[str, int]:
    """Unpack a file of `most` bytes at most. Return why it is refused, "" if it is not, and how many bytes it has."""
    size = 0
    try:
        with archive.open(entry) as source, target.open("wb") as file:
            while block := source.read(BLOCK):
                size += len(block)
                if size > most:
                    return "too_large", size
                file.write(block)
    except (*_UNREADABLE, zlib.error, EOFError):
        return "damaged", size
    return "", size


def main() -> None:
    request = json.load(sys.stdin)
    signal.alarm(int(request["timeout"]) + 3)  # ends this process if the parent, which would kill it, is gone
    os.nice(5)  # calls go first
    try:
        reply = unpack(request)
    except MemoryError:
        reply = {"fault": "too_many_files"}
    except (*_UNREADABLE, OSError) as error:
        reply = {"fault": "no_zip", "reason": repr(error)[:300]}
    json.dump(reply, sys.stdout)


if __name__ == "__main__":
    main()
