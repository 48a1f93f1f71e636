"""What the doctor says of broken set-ups. Several things are broken in turn in one office, by Asterisk's console.

On Asterisk 22 the office is FreePBX 17 (Gosub, PJSIP), on 16 Issabel (Macro, chan_sip), or a plain Asterisk on both.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app import doctor
from app.audio.library import SPEECH, SoundLibrary
from app.config import Settings, load_settings
from app.doctor import dialplan, exchange
from app.domain.findings import Finding, Level
from app.domain.outbound import OutboundResult
from app.domain.pbx_connection import DialplanState
from app.services.setup import checks
from app.services.setup.checks import Check, CheckResult
from app.store import settings as store_settings
from app.store.pbx_state import worker_state
from app.telephony.ami import AmiClient
from app.telephony.connection_check import connect
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.freepbx import Extension, OtherFastAgi
from script.office.patience import PATIENCE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import Office
from tests.asterisk.test_freepbx import PROFILE, freepbx
from tests.support.ami_proxy import ami_proxy

EXAMPLE = "09123456789"  # a mobile number of the office's country
USERS = """
[no-events]
secret=bazang-secret
read=agent
write=originate,call,agent,reporting
[no-calls]
secret=bazang-secret
read=call,user,agent
write=call
"""
RIGHTS = f"read=call,user,agent\nwrite=originate,call,agent,reporting,config\n{USERS}"
# As root, Asterisk would read every file.
WITHOUT_ROOT = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def settings(bazang: Bazang, **changes: Any) -> Settings:
    """Return the settings of the office with some others."""
    values = {name.removeprefix("BAZANG_").lower(): value for name, value in bazang.environment.items()}
    return load_settings(_env_file=None, **values | changes)


async def examine(office: Office, **changes: Any) -> list[Finding]:
    """Return what the doctor finds at the PBX that is not in order.

    Without the permissions of the test's folder, which is closed to others. They count if Asterisk cannot be asked.
    """
    found = await everything(office, **changes)
    return [one for one in broken_ones(found) if "ACLs were not looked at" not in one.text]


async def everything(office: Office, **changes: Any) -> list[Finding]:
    """Return all that the doctor finds at the PBX."""
    return await exchange.check(settings(office.bazang, **changes), office.bazang.database, datetime.now(UTC))


async def only(office: Office, **changes: Any) -> Finding:
    """Return the only finding of `examine`."""
    (finding,) = await examine(office, **changes)
    return finding


async def examine_dialplan(office: Office, client: AmiClient, **changes: Any) -> list[Finding]:
    """Return what the doctor finds in the dialplan, without a log-in."""
    given, database = settings(office.bazang, **changes), office.bazang.database
    with database.read() as session:
        pbx = store_settings.pbx(session, given)
    return broken_ones(await dialplan.check(given, database, pbx, client, DialplanState.CURRENT))


def broken_ones(found: Iterable[Finding]) -> list[Finding]:
    for one in found:
        print(one.level, one.text, "->", one.fix)
    return [one for one in found if one.level is not Level.OK]


@asynccontextmanager
async def connected(office: Office) -> AsyncIterator[AmiClient]:
    asterisk = office.bazang.asterisk
    login = "127.0.0.1", asterisk.ami_port, asterisk.ami_username, asterisk.ami_secret
    async with connect(*login, seconds=PATIENCE) as client:
        yield client


@asynccontextmanager
async def broken(office: Office, command: str, repair: str) -> AsyncIterator[None]:
    """Break something by a command of Asterisk's console, and repair it by another one."""
    await office.bazang.asterisk.cli(command)
    yield
    await office.bazang.asterisk.cli(repair)


def one_module(bazang: Bazang) -> None:
    bazang.module(targets=("101", "102"))


def protect_files(bazang: Bazang) -> None:
    """Let Asterisk read only what its user may read."""
    build = bazang.asterisk.build
    bazang.asterisk.build = replace(build, command=(*WITHOUT_ROOT, *build.command))


# -- FreePBX and Issabel ----------------------------------------------------------------------------------------------


async def test_broken_freepbx(open_office: OpenOffice, asterisk_version: int) -> None:
    extensions = Extension("101", busy="bazang-modules,*5001,1"), Extension("102")
    empty: dict[str, Any] = {"queues": (), "ring_groups": (), "follow_mes": (), "dids": {}}
    setup = freepbx(asterisk_version, extensions=extensions, misc_destinations={"7": "*5001"}, **empty).setup()
    setup.ami_rights = RIGHTS

    def prepare(bazang: Bazang) -> None:
        one_module(bazang)
        protect_files(bazang)

    async with open_office(prepare, setup, phones=(), **PROFILE) as office:
        assert await examine(office) == []
        async with connected(office) as client:
            await check_contexts(office, client)
            await check_routes(office, client, asterisk_version)
            await check_codes(office, client)
            await check_hints(office, client)
        await check_rights(office, "manager_custom.conf")
        await check_profile(office)
        await check_old_asterisk(office)
        await check_clock(office)
        await check_sounds(office)
        assert await examine(office) == []
        await check_other_installation(office)
        await check_port(office)
        await check_dialplan_missing(office, "extensions_custom.conf")


async def check_contexts(office: Office, client: AmiClient) -> None:
    """The codes cannot be dialled from phones, nor by a misc destination."""
    gone = "dialplan remove include bazang-modules from from-internal-custom"
    async with broken(office, gone, "dialplan add include bazang-modules into from-internal-custom"):
        (finding,) = await examine_dialplan(office, client)
    assert finding.level is Level.WARNING
    assert "cannot dial the codes of modules, such as *5001. Misc Destinations" in finding.text
    assert "[from-internal-custom]: `include => bazang-modules`;" in finding.fix
    assert "Admin > Config Edit" in finding.fix


async def check_routes(office: Office, client: AmiClient, version: int) -> None:
    """No route takes the number, then one with hours, then one with a password, then one whose agents need none."""
    asterisk = office.bazang.asterisk
    gone = "dialplan remove include outrt-1 from outbound-allroutes"
    async with broken(office, gone, "dialplan add include outrt-1 into outbound-allroutes"):
        (finding,) = await examine_dialplan(office, client)
        assert f"no way to {EXAMPLE}" in finding.text and "The agent is rung" in finding.text
        assert finding.fix.startswith("Connectivity > Outbound Routes") and "Dial Pattern `0XXXXXXXXXX`" in finding.fix
        assert "Apply Config" in finding.fix
        assert await in_the_setup(office) == (CheckResult.FAULT, OutboundResult.NO_ROUTE)
        await asterisk.cli("dialplan add include outrt-1,00:00-00:01,*,1,jan into outbound-allroutes")
        assert await examine_dialplan(office, client) == [], "a route that counts only at some hours is one"
        await asterisk.cli("dialplan remove include outrt-1,00:00-00:01,*,1,jan from outbound-allroutes")
        route = "macro-dialout-trunk,s,1(1,${EXTEN},1234,on)" if version >= 22 else "dialout-trunk,1,${EXTEN},1234,on"
        application = "Gosub" if version >= 22 else "Macro"
        await asterisk.cli(f"dialplan add extension _0912X.,1,{application}({route}) into outrt-2")
        (finding,) = await examine_dialplan(office, client)
        assert f"(outrt-2) asks for a password before it dials {EXAMPLE}" in finding.text
        assert "empty Route Password" in finding.fix and "Pinless Dialing" in finding.fix
        assert await in_the_setup(office) == (CheckResult.FAULT, OutboundResult.PASSWORD)
        for agent in ("101", "102"):
            assert await examine_dialplan(office, client) != []
            await asterisk.cli(f"database put AMPUSER {agent}/pinless NOPASSWD")
        assert await examine_dialplan(office, client) == []
        await asterisk.cli("dialplan remove extension _0912X.@outrt-2")
    (finding,) = await examine_dialplan(office, client, outbound_context="nowhere")
    assert "no context nowhere" in finding.text and "from-internal" in finding.fix


async def in_the_setup(office: Office) -> tuple[CheckResult, OutboundResult | None]:
    """Return what the setup says of the way to customers. It asks by the worker."""
    bazang = office.bazang
    found = await asyncio.to_thread(checks.run, bazang.database, bazang.settings, "sara", datetime.now(UTC))
    return found.results[Check.OUTBOUND], found.found


async def check_codes(office: Office, client: AmiClient) -> None:
    """The PBX sends callers to a code of no module; Asterisk does not know the code of a module."""
    places = {
        "Goto(bazang-modules,*5999,1) into ext-queues": ("the queue 900", "Admin > Custom Destinations"),
        "Goto(from-internal,*5999,1) into ext-miscdests": ("the misc destination 900", "Applications > Misc Dest"),
    }
    for step, (place, menu) in places.items():
        repair = f"dialplan remove extension 900@{step.rpartition(' ')[2]}"
        async with broken(office, f"dialplan add extension 900,1,{step}", repair):
            (finding,) = await examine_dialplan(office, client)
        assert f"{place} sends its callers to *5999, which is the code of no module" in finding.text
        assert finding.fix.startswith(menu)
    gone = "dialplan remove extension *5001@bazang-modules"
    async with broken(office, gone, "dialplan add extension *5001,1,Goto(bazang-module-1,s,1) into bazang-modules"):
        unknown, phones = await examine_dialplan(office, client)
    assert "does not know the code *5001 of the module Sales" in unknown.text and "dialplan reload" in unknown.fix
    assert "cannot dial" in phones.text


async def check_hints(office: Office, client: AmiClient) -> None:
    async with broken(office, "dialplan remove extension 102@ext-local hint", "dialplan reload"):
        (finding,) = await examine_dialplan(office, client)
    assert "no hint with a phone for 102" in finding.text and "never rung" in finding.text
    assert finding.fix.startswith("Connectivity > Extensions") and "Apply Config" in finding.fix
    await office.bazang.wait_for_dialplan()


# -- what all offices have in common ----------------------------------------------------------------------------------


async def check_rights(office: Office, file: str) -> None:
    finding = await only(office, ami_username="no-events")
    assert "does not send us the events of: call,user" in finding.text
    assert finding.fix == (
        f"In {file}, [no-events]: add call,user to read=, so that it is `read=call,user,agent` or has more, then "
        "`manager reload`."
    )
    lists, actions, *rest = await examine(office, ami_username="no-calls")
    assert "refuses CoreShowChannels" in lists.text and "add reporting to write=" in lists.fix
    assert "does not allow Originate" in actions.text and "add originate,reporting to write=" in actions.fix
    assert rest == []


async def check_profile(office: Office) -> None:
    """The other profile is chosen."""
    is_freepbx = office.bazang.settings.pbx_profile == "freepbx"
    other, menu = ("asterisk", "FreePBX or Issabel") if is_freepbx else ("freepbx", "Plain Asterisk")
    found = await examine(office, pbx_profile=other)
    finding = next(one for one in found if "The profile is" in one.text)
    assert f"The profile is {other}, but" in finding.text and f"“{menu}”" in finding.fix


async def check_old_asterisk(office: Office) -> None:
    asterisk = office.bazang.asterisk
    async with ami_proxy(asterisk.ami_port) as proxy:
        proxy.replace = (f"AsteriskVersion: {asterisk.build.version}".encode(), b"AsteriskVersion: 11.25.3")
        finding = await only(office, ami_port=proxy.port)
    assert "Asterisk 11.25.3" in finding.text and "calls nobody" in finding.text
    assert finding.fix == "Update it to Asterisk 13 or later."


async def check_clock(office: Office) -> None:
    """The clock of the PBX is years behind."""
    async with ami_proxy(office.bazang.asterisk.ami_port) as proxy:
        proxy.replace = (b"Timestamp: 1", b"Timestamp: 0")
        finding = await only(office, ami_port=proxy.port)
    assert finding.level is Level.WARNING and "The clock of the PBX is -" in finding.text
    assert "`timedatectl`" in finding.fix


async def check_sounds(office: Office) -> None:
    """Asterisk reads no more than its user may, and it may have the folder elsewhere."""
    folder = office.bazang.folder / "own-prompts"  # other tests have the shared one at the same time
    sound = SoundLibrary(folder).root / SPEECH / "sound.wav"
    sound.write_bytes(b"RIFF")
    assert await examine(office, prompts_dir=folder) == []
    with mode(sound, 0o000):
        finding = await only(office, prompts_dir=folder)
    assert f"Asterisk cannot read {sound}, where our sounds are. Callers hear nothing" in finding.text
    assert finding.fix == f"Run: `chmod a+r {sound}`"
    if WITHOUT_ROOT:  # any other user would close the folder for the doctor, too
        with mode(sound.parent, 0o600):
            finding = await only(office, prompts_dir=folder)
        assert f"Asterisk cannot enter {sound.parent}" in finding.text
        assert finding.fix == f"Run: `chmod o+x {sound.parent}`"
    finding = await only(office, prompts_dir=folder, asterisk_prompts_dir="/nowhere/prompts")
    assert "does not find our sounds in /nowhere/prompts." in finding.text
    assert "BAZANG_ASTERISK_PROMPTS_DIR" in finding.fix


@contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    before = path.stat().st_mode & 0o7777
    path.chmod(bits)
    yield
    path.chmod(before)


async def check_other_installation(office: Office) -> None:
    """Another installation of Bazang writes a dialplan for the same PBX."""
    extra = "dialplan add extension r0123456789,1,NoOp() into bazang-revision"
    async with broken(office, extra, "dialplan remove extension r0123456789@bazang-revision"):
        finding = await only(office)
    assert finding.level is Level.FAULT and "the dialplans of several installations of Bazang" in finding.text
    assert finding.fix.startswith("In extensions_custom.conf") and "`#tryinclude`" in finding.fix


async def check_port(office: Office) -> None:
    """FreePBX's own FastAGI service has the port of the worker. Asterisk itself is asked whom it finds there."""
    bazang = office.bazang
    assert any("Asterisk reaches the worker at 127.0.0.1" in one.text for one in await everything(office))
    await bazang.stop_worker()
    other = OtherFastAgi()
    await other.start(bazang.settings.agi_port)
    with bazang.database.write() as session:  # before the worker runs, and while it seems to run
        worker_state(session).heartbeat = None
    await check_worker(office, f"cannot listen on 127.0.0.1:{bazang.settings.agi_port}", "and start the worker.")
    with bazang.database.write() as session:
        worker_state(session).heartbeat = datetime.now(UTC) + timedelta(minutes=1)
    await check_worker(office, "Another program than our worker listens", "and restart the worker.")
    finding = await only(office)
    assert f"Asterisk does not reach the worker at 127.0.0.1:{bazang.settings.agi_port}" in finding.text
    assert "Callers in our modules hear nothing" in finding.text and "BAZANG_AGI_HOST" in finding.fix
    await other.stop()
    finding = await only(office)
    assert "Asterisk does not reach the worker" in finding.text
    with bazang.database.write() as session:
        worker_state(session).heartbeat = None
    assert await examine(office) == [], "a worker that does not run is a finding of its own"


async def check_worker(office: Office, text: str, fix: str) -> None:
    found = list(doctor.check_worker(office.bazang.settings, office.bazang.database, datetime.now(UTC)))
    finding = next(one for one in found if text in one.text)
    assert "Callers in our modules hear nothing" in finding.text
    assert "FreePBX has a FastAGI service of its own on port 4573" in finding.fix and finding.fix.endswith(fix)


async def check_dialplan_missing(office: Office, file: str) -> None:
    """Without the worker, which would load it again. The line that includes our dialplan is gone."""
    asterisk = office.bazang.asterisk
    config = asterisk.folder / "etc/extensions.conf"
    config.write_text(config.read_text().replace("#tryinclude", ";#tryinclude"))
    await asterisk.cli("dialplan reload")
    missing, *others = await examine(office)
    assert "does not have our dialplan" in missing.text and "are hung up" in missing.text
    assert missing.fix.startswith(f"In {file}") and f"#tryinclude {office.bazang.settings.dialplan_path}" in missing.fix
    assert all("codes" not in one.text for one in others)


# -- a plain Asterisk -------------------------------------------------------------------------------------------------


async def test_broken_plain_asterisk(open_office: OpenOffice) -> None:
    setup = OfficeSetup(phones={"101": "secret101", "102": "secret102"}, ami_rights=RIGHTS)

    def prepare(bazang: Bazang) -> None:
        one_module(bazang)
        protect_files(bazang)

    async with open_office(prepare, setup, phones=()) as office:
        assert await examine(office) == []
        async with connected(office) as client:
            await check_plain_dialplan(office, client)
        await check_rights(office, "manager.conf")
        await check_profile(office)
        await check_old_asterisk(office)
        await check_clock(office)
        await check_scenarios(office)
        await check_sounds(office)
        await check_port(office)
        await check_dialplan_missing(office, "extensions.conf")
        await check_no_hints(office)


@contextmanager
def without_modules() -> Iterator[None]:
    """Let the doctor think that there is no module yet."""
    load = dialplan._load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialplan, "_load", lambda database: replace(load(database), modules={}, targets=()))
        yield


async def check_plain_dialplan(office: Office, client: AmiClient) -> None:
    gone = "dialplan remove include bazang-modules from from-phones"
    async with broken(office, gone, "dialplan add include bazang-modules into from-phones"):
        (finding,) = await examine_dialplan(office, client)
        with without_modules():
            (included,) = await examine_dialplan(office, client)
    assert "Phones in the context from-phones cannot dial" in finding.text
    assert finding.fix.startswith("In extensions.conf, [from-phones]: `include => bazang-modules`;")
    assert included.code == "modules-not-included" and "include => bazang-modules" in included.lines
    with without_modules():
        assert await examine_dialplan(office, client) == [], "as in the setup, when the lines are there"
    taken = "dialplan add extension *5001,1,Echo() into from-phones"
    async with broken(office, taken, "dialplan remove extension *5001@from-phones"):
        (finding,) = await examine_dialplan(office, client)
    assert "get what the PBX has for it in from-phones" in finding.text
    wrong = "dialplan add extension 900,1,Goto(bazang-modules,*5999,1) into from-trunk"
    async with broken(office, wrong, "dialplan remove extension 900@from-trunk"):
        (finding,) = await examine_dialplan(office, client)
    assert "900 in the context from-trunk sends its callers to *5999" in finding.text
    (finding,) = await examine_dialplan(office, client, outbound_context="office-hints")
    assert f"no way to {EXAMPLE}" in finding.text and "exten => _0XXXXXXXXXX,1,Dial" in finding.fix
    asking = "dialplan add extension _0912X.,1,Authenticate(1234) into outbound"
    async with broken(office, asking, "dialplan remove extension _0912X.@outbound"):
        (finding,) = await examine_dialplan(office, client)
    assert "The context outbound asks for a password" in finding.text and "Authenticate()" in finding.fix
    await check_ways_in(office, client)


async def check_ways_in(office: Office, client: AmiClient) -> None:
    office.bazang.scenario("101")
    await office.bazang.wait_for_dialplan()  # which loads it again, without the lines of the console
    assert await examine_dialplan(office, client) == []
    past = "dialplan add extension 900,1,Dial(PJSIP/101) into from-trunk"
    async with broken(office, past, "dialplan remove extension 900@from-trunk"):
        (finding,) = await examine_dialplan(office, client)
    assert "900 in the context from-trunk has a line of its own for 101, Dial(PJSIP/101)" in finding.text
    assert "[from-trunk], replace it by `Goto(bazang-extensions,101,1)`" in finding.fix


async def check_scenarios(office: Office) -> None:
    """An extension and a queue have scenarios, and no call comes to them."""
    bazang, asterisk = office.bazang, office.bazang.asterisk
    bazang.scenario("101")
    bazang.queue("800")
    await bazang.wait_for_dialplan()
    assert await examine(office) == []
    for context, code in {"bazang-extensions": "101", "bazang-queues": "800"}.items():
        for phones in ("from-phones", "from-trunk"):
            assert await examine(office) == [], "one context is enough"
            await asterisk.cli(f"dialplan remove include {context} from {phones}")
        finding = await only(office)
        assert finding.level is Level.WARNING
        assert f"leads calls to {context}, so callers of {code} never come to a module" in finding.text
        assert f"`include => {context}`" in finding.fix and "from-phones" in finding.fix
        jump = f"dialplan add extension {code},1,Goto({context},{code},1) into from-trunk"
        async with broken(office, jump, f"dialplan remove extension {code}@from-trunk"):
            assert await examine(office) == [], "a jump is as good as an include"
        for phones in ("from-phones", "from-trunk"):
            await asterisk.cli(f"dialplan add include {context} into {phones}")


async def check_no_hints(office: Office) -> None:
    """Without our dialplan, which has hints for the extensions of modules."""
    for extension in ("101", "102"):
        await office.bazang.asterisk.cli(f"dialplan remove extension {extension}@office-hints")
    found = await examine(office)
    assert any("has no hints" in one.text and "exten => 101,hint,PJSIP/101" in one.fix for one in found)
