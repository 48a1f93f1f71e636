import pytest

from app.domain.url_templates import HostNotFixed, UnknownPlaceholder, check, fill, host_of
from app.domain.webhooks import BadUrl, InsideUrl

NAMES = ("number", "name")


@pytest.mark.parametrize(
    "template",
    ["https://crm.example/{name}", "http://crm.example?n={number}&m={name}", "https://crm.example:8443/a/{number}/b"],
)
def test_good_templates(template: str) -> None:
    check(template, NAMES, inside=False)
    assert host_of(template) == "crm.example"


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("https://{name}.example/", HostNotFixed),
        ("https://crm.example{name}", HostNotFixed),
        ("https://crm.example:{number}/", HostNotFixed),
        ("https://{name}@crm.example/", HostNotFixed),
        ("https://crm.example/{other}", UnknownPlaceholder),
        ("https://crm.example/{}", UnknownPlaceholder),
        ("javascript:alert({number})", BadUrl),
        ("data:text/html,{name}", BadUrl),
        ("{name}://crm.example/", BadUrl),
        ("//crm.example/{name}", BadUrl),
        ("/{name}", BadUrl),
        ("https://user:secret@crm.example/{name}", BadUrl),
        ("https://crm.example/{name", BadUrl),
        ("https://crm.example\\{name}", HostNotFixed),
        ("https://crm.example/ {name}", BadUrl),
        ("https://crm.example/#{name}", BadUrl),
        ("https://127.0.0.1/{name}", InsideUrl),
        ("https://localhost/{name}", InsideUrl),
        ("https://crm.example/" + "a" * 1000, BadUrl),
    ],
)
def test_bad_templates(template: str, error: type[ValueError]) -> None:
    with pytest.raises(error):
        check(template, NAMES, inside=False)


def test_addresses_for_browsers_may_have_a_fragment() -> None:
    check("https://crm.example/#/customers/{number}", NAMES, inside=True, fragment=True)
    check("http://192.168.1.5/{number}", NAMES, inside=True)
    assert host_of("http://192.168.1.5/{number}") == "192.168.1.5"
    for template in ("https://crm.example/# {name}", "javascript:#{name}"):
        with pytest.raises(BadUrl):
            check(template, NAMES, inside=True, fragment=True)


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("+98912", "%2B98912"),
        ("سارا", "%D8%B3%D8%A7%D8%B1%D8%A7"),
        ("a/../b?c#d&e=f", "a%2F..%2Fb%3Fc%23d%26e%3Df"),
        ("{number}", "%7Bnumber%7D"),
        ('"><script>', "%22%3E%3Cscript%3E"),
        ("\r\nX: y", "%0D%0AX%3A%20y"),
        ("..", ""),
        (".", ""),
        ("Co.", "Co."),
    ],
)
def test_values_stay_in_their_place(value: str, filled: str) -> None:
    assert fill("https://crm.example/{name}/x", {"name": value, "number": "1"}) == f"https://crm.example/{filled}/x"


def test_host_of_nothing() -> None:
    assert host_of("") == "" and host_of("no address") == ""
