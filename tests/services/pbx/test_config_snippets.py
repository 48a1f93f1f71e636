"""The lines to paste into the PBX's configuration files."""

from pathlib import Path

from app.services.pbx import config_snippets
from app.store.settings import PbxSettings

DIALPLAN = Path("/var/lib/bazang.conf")


def pbx_settings(**values: str) -> PbxSettings:
    defaults = {
        "ami_host": "pbx.example",
        "ami_username": "panel",
        "ami_secret": "",
        "agi_host": "10.0.0.2",
        "pbx_profile": "asterisk",
        "extension_context": "bazang-extensions",
        "queue_context": "bazang-queues",
        "outbound_context": "",
    }
    return PbxSettings(ami_port=5039, **(defaults | values))


def test_snippets_for_asterisk() -> None:
    snippets = config_snippets.make(pbx_settings(), "a;b", DIALPLAN)
    assert "port = 5039" in snippets.general and "bindaddr = 0.0.0.0" in snippets.general
    assert snippets.user.splitlines()[:2] == ["[panel]", "secret = a\\;b"], "a bare semicolon would begin a comment"
    assert "permit = 10.0.0.2/255.255.255.255" in snippets.user
    assert snippets.tryinclude == "#tryinclude /var/lib/bazang.conf"
    assert snippets.includes.count("include => ") == 3


def test_snippets_for_freepbx() -> None:
    snippets = config_snippets.make(pbx_settings(pbx_profile="freepbx", ami_host="127.0.0.1"), "x", DIALPLAN)
    assert (snippets.manager_file, snippets.dialplan_file) == ("manager_custom.conf", "extensions_custom.conf")
    assert snippets.general == "" and "permit = 127.0.0.1/" in snippets.user
    assert snippets.includes.count("include => ") == 1


def test_both_workers_may_log_in() -> None:
    for pbx in (
        pbx_settings(agi_host="10.0.0.2, 10.0.0.3"),
        pbx_settings(agi_host="10.0.0.2,10.0.0.3", ami_host="::1"),
    ):
        snippets = config_snippets.make(pbx, "x", DIALPLAN)
        assert snippets.user.count("permit = ") == 2 and "permit = 10.0.0.3/255.255.255.255" in snippets.user
        assert "bindaddr = 0.0.0.0" in snippets.general
    assert "permit" not in config_snippets.make(pbx_settings(agi_host="10.0.0.2,worker-2"), "x", DIALPLAN).user
