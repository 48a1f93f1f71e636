"""Check that Asterisk can read our sounds. Its own answer counts; without one, the permissions of the files do."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.audio.library import DIALOGUES, SPEECH, UPLOADS
from app.config import Settings
from app.domain.file_access import ENTER, READ
from app.domain.findings import Finding, Line, Value, fault, ok, say, warning
from app.paths import find_closed, find_user
from app.services.sounds import are_stored, find_lost
from app.store.database import Database
from app.telephony.dialer import Ami
from app.telephony.sound_check import Readable, SoundCheck

MOST_NAMED = 5  # lost recordings
USER = "asterisk"  # who runs Asterisk in all usual packages
_SILENCE = say("Callers hear nothing in our modules and cannot leave a request; agents hear no announcement.")


def newest(settings: Settings) -> list[Path]:
    """Return the newest sound of each kind; none if we cannot look at them."""
    folders = [settings.prompts_path / name for name in (SPEECH, UPLOADS, DIALOGUES)]
    try:
        files = [max(folder.glob("*.wav"), key=lambda file: file.stat().st_mtime, default=None) for folder in folders]
    except OSError:
        return []
    return [file for file in files if file is not None]


@dataclass(frozen=True)
class Answer:
    """What Asterisk said about a sound. `seen`: the last part of its path that Asterisk can see, as far as asked."""

    readable: Readable
    seen: PurePosixPath


async def ask(ami: Ami, check: SoundCheck, settings: Settings) -> dict[Path, Answer]:
    """Ask Asterisk about the newest sounds, until it does not answer. Raises AmiError."""
    answers: dict[Path, Answer] = {}
    for file in newest(settings):
        seen = _as_asterisk_sees(settings, file)
        readable = now = await check.ask(ami, str(seen))
        while now is Readable.MISSING and seen != seen.parent:
            seen = seen.parent
            now = await check.ask(ami, str(seen))
        answers[file] = Answer(readable, seen)
        if readable is Readable.UNKNOWN:
            break
    return answers


def report(settings: Settings, answers: Mapping[Path, Answer]) -> Iterator[Finding]:
    """Say what Asterisk can read. `answers`: those of `ask`."""
    states = {answer.readable for answer in answers.values()}
    if states and states <= {Readable.YES}:
        yield ok(
            "sounds-read",
            say("Asterisk can read our sounds in %(folder)s.", folder=str(settings.asterisk_prompts_dir)),
        )
    elif states & {Readable.MISSING, Readable.CLOSED}:
        found = {_unreadable(settings, file, answer): None for file, answer in answers.items()}
        yield from (finding for finding in found if finding is not None)
    else:
        yield _by_permissions(settings)


def _unreadable(settings: Settings, file: Path, answer: Answer) -> Finding | None:
    if answer.readable not in (Readable.MISSING, Readable.CLOSED):
        return None
    theirs = _as_asterisk_sees(settings, file)
    if answer.readable is Readable.CLOSED:
        closed, need = Path(theirs), READ
    else:
        closed, need = Path(answer.seen), ENTER
    is_here = PurePosixPath(settings.prompts_path) in (theirs.parent, *theirs.parents) and closed.exists()
    if not is_here:
        return fault(
            "sounds-not-found",
            say("Asterisk does not find our sounds in %(folder)s.", folder=str(settings.asterisk_prompts_dir))
            + _SILENCE,
            say(
                "On Asterisk's machine, %(folder)s must be mounted. If it has another path there, set "
                "BAZANG_ASTERISK_PROMPTS_DIR to that path and restart the worker.",
                folder=str(settings.prompts_path),
            ),
        )
    others = closed.stat().st_mode & need == need
    return fault(
        "sounds-closed",
        (
            say("Asterisk cannot read %(closed)s, where our sounds are.", closed=str(closed))
            if need is READ
            else say("Asterisk cannot enter %(closed)s, where our sounds are.", closed=str(closed))
        )
        + _SILENCE,
        say(
            "Its permissions allow it, so look for other rules: %(command)s, SELinux, AppArmor.",
            command=Line(f"getfacl {shlex.quote(str(closed))}"),
        )
        if others
        else say("Run: %(command)s", command=open_to_others([closed])),
    )


def _by_permissions(settings: Settings) -> Finding:
    """Judge the folder and each file in it by the permissions for Asterisk's user, or for other users."""
    who = find_user(USER)
    name = say("the user %(user)s", user=USER) if who is not None else say("other users, such as Asterisk's,")
    folder = settings.prompts_path
    try:
        closed = find_closed(folder, who)
        for file in folder.rglob("*.wav") if not closed else ():
            if closed := find_closed(file, who):
                break
    except OSError as error:
        return warning(
            "sounds-unknown",
            say(
                "%(folder)s: it cannot be checked who can read our sounds: %(error)s",
                folder=str(folder),
                error=str(error),
            ),
            say("Give us access to it."),
        )
    if not closed:
        return ok(
            "sounds-open",
            say(
                "By their permissions %(who)s can read our sounds in %(folder)s. ACLs were not looked at.",
                who=name,
                folder=str(folder),
            ),
        )
    values: dict[str, Value] = {"folder": str(folder), "who": name, "closed": str(closed[0])}
    return warning(
        "sounds-closed-by-permissions",
        (
            say("%(folder)s: %(who)s cannot enter %(closed)s.", **values)
            if closed[0].is_dir()
            else say("%(folder)s: %(who)s cannot read %(closed)s.", **values)
        )
        + _SILENCE
        + say("Asterisk itself was not asked, and ACLs were not looked at."),
        say("Run: %(command)s, or change %(setting)s.", command=open_to_others(closed), setting="BAZANG_PROMPTS_DIR"),
    )


def check_recordings(settings: Settings, database: Database) -> Finding:
    """Check that no recording is lost."""
    lost = find_lost(database, settings.prompts_path)
    if not lost:
        return ok("recordings-there", say("The sound of each recording is there."))
    said = say("The sounds of these recordings are lost: %(names)s.", names=tuple(lost[:MOST_NAMED]))
    if len(lost) > MOST_NAMED:
        said += say("There are %(count)s in all.", count=len(lost))
    advice = say("Upload or record them again in the prompt library.")
    if are_stored(database.engine):
        advice += say(
            "If another machine still has the files, open the prompt library in its panel, or restart its worker."
        )
    return warning("recordings-lost", said + say("Callers and agents hear the default texts in their place."), advice)


def open_to_others(closed: Iterable[Path]) -> Line:
    """Return the commands that let all users enter folders and read files."""
    commands = (f"chmod {'o+x' if path.is_dir() else 'a+r'} {shlex.quote(str(path))}" for path in closed)
    return Line("; ".join(commands))


def _as_asterisk_sees(settings: Settings, file: Path) -> PurePosixPath:
    return PurePosixPath(settings.asterisk_prompts_dir, file.relative_to(settings.prompts_path))
