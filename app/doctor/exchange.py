"""Check the PBX: the log-in, its version, the rights of our user, the profile, its dialplan, and what it can read."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.config import Settings
from app.doctor import dialplan, sounds
from app.doctor.words import LOG, manager_file
from app.domain.findings import Finding, Line, Said, fault, ok, say, warning
from app.domain.pbx_connection import (
    LEAST_ASTERISK,
    READ_RIGHTS,
    CallersState,
    ConnectionReport,
    ConnectionResult,
    DialplanState,
    is_too_old,
)
from app.services.pbx import config_snippets
from app.store import pbx_state
from app.store import settings as store_settings
from app.store.database import Database
from app.store.settings import PbxSettings
from app.telephony import connection_check
from app.telephony.ami import AmiClient, AmiError
from app.telephony.ami_tls import make_tls
from app.telephony.connection_check import ConnectionFailed, ListAnswer
from app.telephony.pbx_product import find_product
from app.telephony.sound_check import SoundCheck

CONNECT_SECONDS = 5.0
LARGEST_SKEW = timedelta(seconds=3)
UNHEARD = say("Callers in our modules hear nothing and go to the error destination of the module.")


async def check(settings: Settings, database: Database, now: datetime) -> list[Finding]:
    """Return all findings about the PBX with the settings in force."""
    with database.read() as session:
        pbx = store_settings.pbx(session, settings)
        written = pbx_state.worker_state(session).dialplan_written
        runs = pbx_state.worker_runs(session, now)
        port = store_settings.agi_port(settings, store_settings.read_all(session))
    tls = make_tls(settings.ami_tls, settings.ami_ca, settings.ami_fingerprint)
    login = (pbx.ami_host, pbx.ami_port, pbx.ami_username, pbx.ami_secret)
    found = await connection_check.check_connection(*login, seconds=CONNECT_SECONDS, revision=written, tls=tls)
    if not found.connected:
        return [_connection_fault(pbx, found), *sounds.report(settings, {})]
    listening = SoundCheck()
    try:
        async with connection_check.connect(*login, seconds=CONNECT_SECONDS, tls=tls, on_event=listening.add) as client:
            findings = [check_version(found.version), *await _check_rights(pbx, client, found)]
            findings += await _check_clock(client)
            findings += await _check_profile(pbx, client)
            findings += await dialplan.check(settings, database, pbx, client, found.dialplan)
            findings += _check_callers(f"{pbx.agi_host}:{port}", found.callers) if runs else ()
            return findings + await _check_sounds(settings, client, listening, found)
    except ConnectionFailed as failed:
        return [_connection_fault(pbx, failed.report), *sounds.report(settings, {})]


async def _check_sounds(
    settings: Settings, client: AmiClient, listening: SoundCheck, report: ConnectionReport
) -> list[Finding]:
    answers: dict[Path, sounds.Answer] = {}
    # Without these it cannot answer, which is a finding of its own.
    if report.dialplan is not DialplanState.NONE and "user" not in report.read_missing:
        with suppress(AmiError):  # no right to call
            answers = await sounds.ask(client, listening, settings)
    return [*sounds.report(settings, answers)]


# -- the log-in -------------------------------------------------------------------------------------------------------


def check_version(version: str) -> Finding:
    """Check the version of a PBX that has accepted the login."""
    if is_too_old(version):
        return fault(
            "asterisk-too-old",
            say(
                "The PBX has Asterisk %(version)s, which does not report the states of all extensions and devices. "
                "So Bazang cannot see who is free: it calls nobody.",
                version=version,
            ),
            say("Update it to Asterisk %(version)s or later.", version=str(LEAST_ASTERISK)),
        )
    return ok(
        "login-accepted",
        say("The PBX accepts the login (Asterisk %(version)s).", version=version or say("of unknown version")),
    )


_CONNECTION_FIXES = {
    ConnectionResult.HOST_UNKNOWN: say("Set BAZANG_AMI_HOST, or the address in the panel, to the machine of Asterisk."),
    ConnectionResult.NOTHING_LISTENS: say(
        "Set %(line)s in %(section)s of %(file)s, and check BAZANG_AMI_HOST and BAZANG_AMI_PORT.",
        line=Line("enabled=yes"),
        section="[general]",
        file="manager.conf",
    ),
    ConnectionResult.NO_ANSWER: say("Check the firewall, BAZANG_AMI_HOST and BAZANG_AMI_PORT."),
    ConnectionResult.NOT_ASTERISK: say(
        "Set BAZANG_AMI_PORT to the port in %(file)s, usually %(port)s.", file="manager.conf", port="5038"
    ),
    ConnectionResult.CERTIFICATE: say(
        "Set BAZANG_AMI_PORT to the port of TLS, usually %(port)s, and BAZANG_AMI_CA to the file of the CA or "
        "BAZANG_AMI_FINGERPRINT to the SHA-256 of the certificate.",
        port="5039",
    ),
}


def _connection_fault(pbx: PbxSettings, report: ConnectionReport) -> Finding:
    address = f"{pbx.ami_host}:{pbx.ami_port}"
    if report.result is ConnectionResult.TOO_OLD:
        return check_version(report.version)
    if report.result is ConnectionResult.LOGIN_IN_USE:
        return warning(
            "login-in-use",
            say(
                "The PBX at %(address)s lets the user %(user)s log in only once, and somebody is logged in. If it is "
                "our worker, nothing else can be checked while it runs.",
                address=address,
                user=pbx.ami_username,
            ),
            say(
                "Set %(line)s in %(section)s of %(file)s, then %(command)s; or give Bazang a user of its own.",
                line=Line("allowmultiplelogin=yes"),
                section="[general]",
                file="manager.conf",
                command=Line("manager reload"),
            ),
        )
    if report.result is not ConnectionResult.REFUSED:
        return fault(
            f"connection-{report.result.replace('_', '-')}",
            say("The PBX does not answer at %(address)s: %(error)s", address=address, error=report.detail),
            _CONNECTION_FIXES[report.result],
        )
    read, write = ",".join(config_snippets.READ_RIGHTS), ",".join(config_snippets.WRITE_RIGHTS)
    return fault(
        "login-refused",
        say("The PBX at %(address)s refuses the user %(user)s.", address=address, user=pbx.ami_username),
        say(
            "In %(file)s: %(section)s with %(own)s, %(read)s and %(write)s; then %(command)s. Set the same secret "
            "in BAZANG_AMI_SECRET or in the panel.",
            file=manager_file(pbx),
            section=f"[{pbx.ami_username}]",
            own="secret=…",
            read=Line(f"read={read}"),
            write=Line(f"write={write}"),
            command=Line("manager reload"),
        ),
    )


# -- the rights -------------------------------------------------------------------------------------------------------


async def _check_rights(pbx: PbxSettings, client: AmiClient, report: ConnectionReport) -> list[Finding]:
    lists = [await connection_check.request_list(client, action) for action in connection_check.LISTS]
    return [
        *(_check_list(pbx, answer) for answer in lists),
        await _check_actions(pbx, client),
        *_check_events(pbx, report),
    ]


_BLIND = say("Without it Bazang does not see who is free, and calls nobody.")


def _check_list(pbx: PbxSettings, answer: ListAnswer) -> Finding:
    action = answer.action
    if answer.refused:
        right = connection_check.ACTIONS[action] or "call"
        return fault(
            "list-refused",
            say("The PBX refuses %(action)s: %(error)s.", action=action, error=answer.error) + _BLIND,
            _add_right(pbx, "write", right),
        )
    if answer.rows is None:
        return fault(
            "list-unanswered",
            say("The PBX does not answer %(action)s: %(error)s.", action=action, error=answer.error) + _BLIND,
            LOG,
        )
    if action == "ExtensionStateList" and not any(row.get("Event") == "ExtensionStatus" for row in answer.rows):
        return warning(
            "no-hints",
            say("The PBX has no hints, so it cannot tell whether an extension is free, and no agent is rung."),
            say(
                "In %(file)s: %(line)s for each extension. Bazang adds hints for the extensions of its modules.",
                file="extensions.conf",
                line=Line("exten => 101,hint,PJSIP/101"),
            ),
        )
    return ok("list-answered", say("The PBX answers %(action)s.", action=action))


async def _check_actions(pbx: PbxSettings, client: AmiClient) -> Finding:
    """Check the rights for actions that cannot be tried, because they would change something."""
    try:
        missing = connection_check.missing_actions(await connection_check.allowed_actions(client))
    except AmiError as error:
        return fault(
            "rights-unanswered",
            say("The PBX does not answer %(action)s: %(error)s.", action="ListCommands", error=str(error)),
            LOG,
        )
    missing = tuple(action for action in missing if action not in connection_check.LISTS)
    if missing:
        rights = ",".join(dict.fromkeys(connection_check.ACTIONS[action] for action in missing))
        return fault(
            "write-rights-missing",
            say(
                "The PBX does not allow %(actions)s. Agents cannot be rung, or we do not hear what became of their "
                "calls.",
                actions=missing,
            ),
            _add_right(pbx, "write", rights),
        )
    return ok("write-rights", say("The PBX allows us to make and end calls."))


def _check_events(pbx: PbxSettings, report: ConnectionReport) -> Iterator[Finding]:
    """Check the rights to get events. The test call shows them."""
    if report.read_missing:
        rights = ",".join(report.read_missing)
        yield fault(
            "read-rights-missing",
            say(
                "The PBX does not send us the events of: %(rights)s. Bazang does not notice that an agent gets free, "
                "that a call is answered or that it ends.",
                rights=rights,
            ),
            _add_right(pbx, "read", rights),
        )
    elif report.unchecked != READ_RIGHTS:
        unchecked = ",".join(report.unchecked)
        yield ok(
            "read-rights",
            say(
                "The PBX sends us the events of calls. (It shows the right %(right)s only during calls.)",
                right=unchecked,
            ),
        )


def _add_right(pbx: PbxSettings, line: str, rights: str) -> Said:
    """`line`: `read` or `write`; `rights`: those that are missing. The whole line can be pasted instead."""
    every = config_snippets.READ_RIGHTS if line == "read" else config_snippets.WRITE_RIGHTS
    return say(
        "In %(file)s, %(section)s: add %(rights)s to %(name)s, so that it is %(line)s or has more, then %(command)s.",
        file=manager_file(pbx),
        section=f"[{pbx.ami_username}]",
        rights=rights,
        name=f"{line}=",
        line=Line(f"{line}={','.join(every)}"),
        command=Line("manager reload"),
    )


# -- the clock, and the way to the worker -----------------------------------------------------------------------------


async def _check_clock(client: AmiClient) -> list[Finding]:
    """Compare the clock of the PBX with that of this machine."""
    try:
        stamp = float((await client.send("Ping")).get("Timestamp", ""))
    except (AmiError, ValueError):
        return []  # it does not say
    skew = datetime.fromtimestamp(stamp, UTC) - datetime.now(UTC)
    if abs(skew) < LARGEST_SKEW:
        return []
    return [
        warning(
            "pbx-clock",
            say(
                "The clock of the PBX is %(skew)s s from that of this machine. While the worker does not run, the PBX "
                "tells by its own clock whether the office is open.",
                skew=f"{skew.total_seconds():+.0f}",
            ),
            say("Keep the clocks of both machines synchronized: %(command)s.", command=Line("timedatectl")),
        )
    ]


def _check_callers(address: str, callers: CallersState) -> Iterator[Finding]:
    """Report whether Asterisk itself reaches the worker: a call of ours has asked it. The worker runs."""
    if callers is CallersState.REACHED:
        yield ok("callers-reach", say("Asterisk reaches the worker at %(address)s.", address=address))
    elif callers is CallersState.UNREACHED:
        yield fault(
            "callers-do-not-reach",
            say("Asterisk does not reach the worker at %(address)s.", address=address) + UNHEARD,
            say(
                "Set BAZANG_AGI_HOST and BAZANG_AGI_PORT to the address where Asterisk reaches the worker, and "
                "BAZANG_AGI_BIND if Asterisk is on another machine. Restart the worker, and let the port through the "
                "firewall. To try it on Asterisk's machine: %(command)s",
                command=Line(f"nc -vz {address.replace(':', ' ')}"),
            ),
        )


# -- the profile ------------------------------------------------------------------------------------------------------


async def _check_profile(pbx: PbxSettings, client: AmiClient) -> list[Finding]:
    try:
        profile = (await find_product(client)).profile
    except AmiError:
        return []  # no right to ask, which is a finding of its own
    if profile == pbx.pbx_profile:
        return [ok("profile", say("The profile %(profile)s fits the PBX.", profile=pbx.pbx_profile))]
    if profile == "freepbx":
        return [
            fault(
                "profile-not-freepbx",
                say(
                    "The profile is %(profile)s, but FreePBX or Issabel writes the dialplan of this PBX. A module "
                    "takes callers out of a queue at the first unanswered ring, requests name the wrong person, "
                    "customers see a wrong number, and the FastAGI port 4573 belongs to FreePBX.",
                    profile="asterisk",
                ),
                _choose_profile(say("FreePBX or Issabel"), "freepbx"),
            )
        ]
    return [
        fault(
            "profile-not-asterisk",
            say(
                "The profile is %(profile)s, but neither FreePBX nor Issabel writes the dialplan of this PBX. The "
                "scenarios of extensions are not in our dialplan, so nobody comes from a busy extension to a module, "
                "and requests do not say which person was wanted.",
                profile="freepbx",
            ),
            _choose_profile(say("Plain Asterisk"), "asterisk"),
        )
    ]


def _choose_profile(label: Said, value: str) -> Said:
    return say(
        "In the panel, under Settings > PBX, choose “%(label)s”, or set %(line)s and restart panel and worker.",
        label=label,
        line=Line(f"BAZANG_PBX_PROFILE={value}"),
    )
