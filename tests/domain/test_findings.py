from app.domain.findings import Level, fault, ok, warning


def test_what_to_type_or_paste_stands_between_backticks() -> None:
    found = fault("No dialplan.", "In extensions.conf: `#tryinclude a.conf`; then `dialplan reload`.")
    assert (found.level, found.lines) == (Level.FAULT, ("#tryinclude a.conf", "dialplan reload"))
    assert (warning("Late.", "Wait.").level, warning("Late.", "Wait.").lines) == (Level.WARNING, ())
    assert (ok("Fine.").level, ok("Fine.").fix) == (Level.OK, "")
