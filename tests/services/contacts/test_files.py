"""Files of contacts as programs write them, and hostile ones."""

import pytest

from app.domain.contacts import ContactData, Fault, Reason
from app.domain.numbers import NumberPlan
from app.services.contacts import files
from app.services.contacts.files import Column, read_table, to_rows
from app.services.errors import ErrorCode, Invalid

PLAN = NumberPlan("IR", "021")
MOBILE, LANDLINE = "+989121234567", "+982188776655"
SARA = ContactData("Sara", "", (MOBILE,))


def read(content: bytes) -> list[ContactData]:
    return [row.data for row in to_rows(read_table(content, PLAN), PLAN)]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"name,phone\nSara,0912 123 4567\n", SARA),
        (b"name;phone\r\nSara;0912 123 4567\r\n", SARA),
        (b"phone\tname\n0912 123 4567\tSara", SARA),
        (b"Sara,09121234567\n", SARA),
        (b"989121234567,Sara\n", SARA),
        ("\ufeffName,Mobile\nSara,'09121234567".encode(), SARA),
        ("\ufeffName,Mobile\nSara,09121234567".encode("utf-16"), SARA),
        (
            b"First Name,Last Name,Mobile Phone,E-mail\nSara,Ahmadi,09121234567,s@a",
            ContactData("Sara Ahmadi", "", (MOBILE,)),
        ),
        (
            b"Name,Given Name,Family Name,Phone 1 - Type,Phone 1 - Value,Organization 1 - Name,Notes\n"
            b'Sara A,Sara,A,Mobile,+98 912 123 4567 ::: 021 88776655,Pars,"a, b"\n',
            ContactData("Sara A", "Pars", (MOBILE, LANDLINE), "a, b"),
        ),
        (
            "نام;نام خانوادگی;شماره موبایل;تلفن ثابت;شرکت;توضیحات\n"
            "سارا;احمدی;۰۹۱۲۱۲۳۴۵۶۷;88776655 داخلی ۴;پارس;مهم\n".encode(),
            ContactData("سارا احمدی", "پارس", (MOBILE, LANDLINE), "مهم"),
        ),
        ("نام,تلفن\nعلي,09121234567\n".encode("cp1256"), ContactData("علي", "", (MOBILE,))),
        (b"company,phone\nPars,09121234567\n", ContactData("Pars", "Pars", (MOBILE,))),
        (
            b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:Ahmadi;Sara;;;\r\nFN:Sara Ahmadi\r\nORG:Pars;Sales\r\n"
            b"item1.TEL;type=CELL;type=pref:0912 123\r\n  4567\r\nTEL;TYPE=WORK:021-88776655\r\nNOTE:a\\, b\\nc\r\n"
            b"PHOTO;ENCODING=b:AAAA\r\n AAAA\r\nEND:VCARD\r\n",
            ContactData("Sara Ahmadi", "Pars Sales", (MOBILE, LANDLINE), "a, b\nc"),
        ),
        (
            b'BEGIN:VCARD\nVERSION:4.0\nFN:Sara\nTEL;VALUE=uri;TYPE="voice,work":tel:+98-21-88776655;ext=12\nEND:VCARD\n',
            ContactData("Sara", "", (LANDLINE,)),
        ),
        (
            b"BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:;=D8=B3=D8=A7=D8=B1=\r\n=D8=A7;;;\r\n"
            b"TEL;CELL;PREF:09121234567\r\nEND:VCARD\r\n",
            ContactData("سارا", "", (MOBILE,)),
        ),
    ],
)
def test_files_of_programs(content: bytes, found: ContactData) -> None:
    assert read(content) == [found]


def test_faults_of_rows() -> None:
    table = read_table(
        b"name,phone,phone 2\nSara,09121234567,12\n,09121234567,\n" + b"x" * 150 + b",09121234567,\n", PLAN
    )
    rows = to_rows(table, PLAN)
    assert [row.place for row in rows] == [2, 3, 4], "as an editor counts the lines"
    assert rows[0].faults == (Fault(Reason.BAD_NUMBER, "12"),)
    assert rows[1].data == ContactData("", "", (MOBILE,))
    assert rows[2].data.name == "x" * 120 and rows[2].faults == (Fault(Reason.SHORTENED, "x" * 40),)


def test_damaged_cards_are_counted_and_the_others_taken() -> None:
    good = b"BEGIN:VCARD\nVERSION:3.0\nFN:Sara\nTEL:09121234567\nEND:VCARD\n"
    table = read_table(good + b"BEGIN:VCARD\nVERSION:3.0\nFN:open\n" + good.replace(b"FN:Sara", b"junk"), PLAN)
    assert table.unreadable >= 1
    assert SARA in [row.data for row in to_rows(table, PLAN)]


def test_names_have_no_control_and_direction_characters() -> None:
    assert read("name,phone\nSa\u202era\x07,09121234567\n".encode()) == [SARA]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", ErrorCode.NO_CONTACTS),
        (b"\n\n,,\n", ErrorCode.NO_CONTACTS),
        ("name,phone\nMüller,09121234567".encode("latin-1"), ErrorCode.ENCODING),
        (b"\x89PNG\r\n\x1a\n\x00\xff", ErrorCode.ENCODING),
        (b"\xff\xfea", ErrorCode.ENCODING),
        (b"a," * 200, ErrorCode.CONTACTS_SIZE),
        (b"a,1\n" * 50_002, ErrorCode.CONTACTS_SIZE),
        (b"BEGIN:VCARD\nEND:VCARD\n" * 20_001, ErrorCode.CONTACTS_SIZE),
        (b"x" * (files.LARGEST + 1), ErrorCode.CONTACTS_SIZE),
    ],
    ids=["empty", "blank", "latin-1", "picture", "half", "columns", "rows", "cards", "bytes"],
)
def test_refused_files(content: bytes, code: ErrorCode) -> None:
    with pytest.raises(Invalid) as refused:
        read_table(content, PLAN)
    assert refused.value.errors == {"file": code}


def test_unknown_titles_leave_columns_unused() -> None:
    table = read_table(b"id,name,phone,fax number\n1,Sara,09121234567,02188776655\n", PLAN)
    assert table.columns == (Column.IGNORED, Column.NAME, Column.NUMBER, Column.IGNORED)
