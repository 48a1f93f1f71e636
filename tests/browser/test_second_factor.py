"""The two-step log-in from its set-up to its end, with a phone that reads the QR code from the screen."""

from datetime import UTC, datetime

import segno
from flask import Flask
from playwright.sync_api import Page, expect

from app.services import second_factor, users
from app.store.database import Database
from app.store.settings import write_setting
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import Person
from tests.support.second_factors import Phone
from tests.web.conftest import OPERATOR, PASSWORD

# The picture as the page shows it, module by module: whether each is dark.
READ_PICTURE = """async (svg) => {
  const { width, height } = svg.viewBox.baseVal, size = 10;
  const picture = svg.cloneNode(true);
  picture.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  picture.setAttribute("width", width * size);
  picture.setAttribute("height", height * size);
  const image = new Image();
  image.src = "data:image/svg+xml," + encodeURIComponent(picture.outerHTML);
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = width * size;
  canvas.height = height * size;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const isDark = (x, y) => context.getImageData((x + .5) * size, (y + .5) * size, 1, 1).data[0] < 128;
  return Array.from({ length: height }, (_, y) => Array.from({ length: width }, (_, x) => isDark(x, y)));
}"""


def read_phone(page: Page, name: str) -> Phone:
    """Return a phone with the key that the page shows, which is the one of its QR code."""
    phone = Phone(page.locator(".copyable code").inner_text().replace(" ", ""))
    shown = page.locator(".qr").evaluate(READ_PICTURE)
    code = segno.make(second_factor.address_of(phone.secret, name), micro=False)
    assert shown == [[bool(module) for module in row] for row in code.matrix_iter(border=4)]
    box = page.locator(".qr").bounding_box()
    assert box is not None and box["width"] == box["height"] >= 200, "large enough for a camera"
    return phone


def enter_password(person: Person) -> Page:
    page = person.choose_language("fa")
    page.locator("#name").fill(OPERATOR)
    page.locator("#password").fill(PASSWORD)
    page.locator("main form button").click()
    return page


def enter(page: Page, code: str) -> None:
    page.locator("#code").fill(code)
    page.locator("main form button").click()


def log_out(page: Page) -> None:
    page.locator("[formaction$=logout]").click()
    page.wait_for_url("**/login")


def test_two_step_log_in_in_persian(app: Flask, database: Database, open_browser: OpenBrowser) -> None:
    users.set_locale(database, 2, "fa")
    with database.write() as session:
        write_setting(session, "second_factor", "everybody")
    person = open_browser()
    page = enter_password(person)

    # The office requires it, so the log-in leads to the set-up.
    page.wait_for_url("**/account/second-factor?next=/mine")
    expect(page.locator("nav")).to_have_count(0)
    page.get_by_role("button", name="راه‌اندازی").click()
    phone = read_phone(page, OPERATOR)
    enter(page, phone.wrong_code(datetime.now(UTC)))
    expect(page.locator("#code-error")).to_be_visible()
    expect(page.locator("main")).to_contain_text("ساعت این دستگاه")
    enter(page, phone.code(datetime.now(UTC)))
    expect(page.locator("h1")).to_contain_text("کدهای بازیابی")
    codes = page.locator(".copyable code").inner_text().split()
    assert len(codes) == 10
    page.evaluate("window.print = () => { document.title = 'printed'; }")
    page.locator("[data-print]").click()
    assert page.title() == "printed"
    page.emulate_media(media="print")
    expect(page.locator(".on-paper")).to_be_visible()
    expect(page.locator("nav").first).to_be_hidden()
    page.emulate_media(media="screen")
    page.locator("main .btn-primary").click()
    page.wait_for_url("**/mine")
    log_out(page)

    # Password, a wrong code, and the right one in Persian digits.
    page = enter_password(person)
    page.wait_for_url("**/login/code")
    expect(page.locator("#code")).to_be_focused()
    enter(page, phone.wrong_code(datetime.now(UTC)))
    expect(page.locator("#code-error")).to_be_visible()
    code = phone.code(datetime.now(UTC), 1)  # the current one may have turned it on
    enter(page, code.translate(str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")))
    page.wait_for_url("**/mine")

    # Without the phone.
    log_out(page)
    page = enter_password(person)
    page.get_by_role("link", name="کد بازیابی").click()
    enter(page, codes[0])
    page.wait_for_url("**/mine")
    with database.write() as session:
        write_setting(session, "second_factor", "nobody")
    page.goto("/account")
    expect(page.locator("main")).to_contain_text("۹")
    page.locator("a[href$='second-factor/off']").click()
    page.locator("#password").fill(PASSWORD)
    enter(page, codes[1])
    page.wait_for_url("**/account")
    log_out(page)
    enter_password(person).wait_for_url("**/mine")
    person.ignore_errors("422")
