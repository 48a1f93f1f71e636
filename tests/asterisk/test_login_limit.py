"""A PBX that allows one login per AMI user: the connection test and the worker report it."""

from app.domain.pbx_connection import ConnectionResult
from app.telephony.ami import AmiClient
from script.office.asterisk import OfficeSetup
from script.office.patience import PATIENCE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import run_connection_test


async def test_second_login_is_not_reported_as_a_wrong_secret(open_office: OpenOffice) -> None:
    setup = OfficeSetup(ami_general="allowmultiplelogin=no")
    async with open_office(setup=setup, phones=()) as office:
        bazang, asterisk = office.bazang, office.bazang.asterisk
        assert (await run_connection_test(office)).result is ConnectionResult.LOGIN_IN_USE

        await bazang.stop_worker()
        other = AmiClient(
            "127.0.0.1", asterisk.ami_port, asterisk.ami_username, asterisk.ami_secret, on_event=lambda event: None
        )
        await other.start()
        await other.wait_connected(PATIENCE)
        bazang.launch_worker()

        def status() -> str:
            state = bazang.worker_state()
            return state.ami_status if state is not None else ""

        await bazang.until(lambda: status() == "login_in_use", PATIENCE, "the worker reports that the user is in use")
        await other.stop()
        await bazang.until(lambda: status() == "connected", PATIENCE, "the worker is connected")
