"""Register what the dialplan kept while this process did not run."""

import logging

from sqlalchemy.exc import SQLAlchemyError

from app.telephony import kept
from app.telephony.ami import AmiRefused
from app.telephony.dialer import Ami
from app.telephony.variables import KEPT_FAMILY
from app.worker.registrar import Registrar

log = logging.getLogger(__name__)


class KeptRegistrations:
    """Each poll looks for records in Asterisk's database: it may be FastAGI alone that callers do not reach."""

    def __init__(self, ami: Ami, registrar: Registrar) -> None:
        self._ami, self._registrar = ami, registrar

    async def register(self) -> None:
        """Register all of them, and delete the records of what is stored. Raises AmiError, but not if refused."""
        try:
            keys = await kept.list_keys(self._ami)
            await kept.forget(self._ami, [key for key in keys if await self._register(key)])
        except AmiRefused as refusal:
            log.error("the PBX refuses what is needed to register requests that its dialplan kept: %s", refusal)

    async def _register(self, key: str) -> bool:
        """Register one. Return whether it is stored, now or before. A fault costs no other one."""
        record = await kept.read_kept(self._ami, key)
        if not record:
            return False
        try:
            call = kept.parse_record(key, record)
        except ValueError as error:
            log.error("%s of the family %s in Asterisk's database: %s", key, KEPT_FAMILY, error)
            call = None
        try:
            await self._registrar.register_kept(key, call)
        except SQLAlchemyError as error:
            log.error("cannot store what the dialplan kept, the next poll tries again: %s", error)
            return False
        except Exception:  # a bug must not stop the others, nor the poll
            log.exception("cannot register what the dialplan kept: %s", key)
            return False
        return True
