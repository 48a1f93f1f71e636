"""Run a connection test with the values of the form, and prepare its report for the templates."""

from app.domain.pbx_connection import ConnectionReport
from app.services.pbx import config_snippets, connection_commands
from app.services.settings import pbx
from app.services.settings.pbx import PbxInput
from app.web.context import database, settings, utcnow


def run_test(given: PbxInput, actor: str) -> ConnectionReport | None:
    """Test valid values. Return None if the worker does not answer."""
    values = pbx.effective(database(), settings(), given)
    return connection_commands.test(
        database(),
        settings(),
        host=values.ami_host,
        port=int(values.ami_port),
        username=values.ami_username,
        secret=values.ami_secret,
        contexts=(values.extension_context, values.queue_context),
        actor=actor,
        now=utcnow(),
    )


def differences(given: PbxInput, report: ConnectionReport | None) -> dict[str, object]:
    """Return the tested profile, and the tested contexts that the PBX does not have."""
    existing = None if report is None else report.contexts
    typed = dict.fromkeys(filter(None, (given.extension_context, given.queue_context)))
    missing = [] if existing is None else [context for context in typed if context not in existing]
    return {"tested_profile": given.pbx_profile, "missing_contexts": missing}


def snippets(username: str) -> dict[str, object]:
    """Return the lines that a report asks to add to the PBX's files: the user's rights, and our dialplan."""
    read, write = ",".join(config_snippets.READ_RIGHTS), ",".join(config_snippets.WRITE_RIGHTS)
    return {
        "rights": f"[{username}]\nread = {read}\nwrite = {write}",
        "include_line": f"#tryinclude {settings().dialplan_path}",
    }
