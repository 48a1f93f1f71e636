"""The words of e-mail in both languages. What has happened, in words, is WHAT in webhook_bodies.py."""

from collections.abc import Mapping
from enum import StrEnum


class MailText(StrEnum):
    """Labels and sentences."""

    NAME = "name"
    CLAIMED_NAME = "claimed_name"  # what the caller's phone says, beside the name of a contact
    NUMBER = "number"
    REQUEST = "request"
    EXCHANGE = "exchange"
    MODULE = "module"
    EXTENSION = "extension"
    QUEUE = "queue"
    AGENT = "agent"
    DONE_BY = "done_by"
    BY = "by"
    ATTEMPTS = "attempts"
    TIME = "time"
    REGISTERED_AT = "registered_at"
    TRUNK = "trunk"
    CAUSE = "cause"
    OPEN_REQUEST = "open_request"
    OPEN_PANEL = "open_panel"
    TESTED = "tested"
    FOOTER = "footer"
    OF_DAY = "of_day"
    OF_WEEK = "of_week"
    REGISTERED = "registered"
    REACHED = "reached"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    OPEN = "open"
    MEDIAN = "median"
    MISSED = "missed"
    MISSED_OPEN = "missed_open"


TEXTS: Mapping[str, Mapping[MailText, str]] = {
    "en": {
        MailText.NAME: "Name",
        MailText.CLAIMED_NAME: "The phone calls itself",
        MailText.NUMBER: "Number",
        MailText.REQUEST: "Call request",
        MailText.EXCHANGE: "Exchange",
        MailText.MODULE: "Module",
        MailText.EXTENSION: "Extension",
        MailText.QUEUE: "Queue",
        MailText.AGENT: "Agent",
        MailText.DONE_BY: "Done by",
        MailText.BY: "User",
        MailText.ATTEMPTS: "Attempts",
        MailText.TIME: "Time",
        MailText.REGISTERED_AT: "Registered",
        MailText.TRUNK: "Outbound context",
        MailText.CAUSE: "Cause",
        MailText.OPEN_REQUEST: "Open the request",
        MailText.OPEN_PANEL: "Open the panel",
        MailText.TESTED: "E-mail of Bazang arrives at this address.",
        MailText.FOOTER: "Bazang sends this because an administrator has entered your address under Settings > E-mail.",
        MailText.OF_DAY: "Summary of {first}",
        MailText.OF_WEEK: "Summary from {first} to {last}",
        MailText.REGISTERED: "Registered requests",
        MailText.REACHED: "of them done",
        MailText.FAILED: "of them failed",
        MailText.EXPIRED: "of them expired",
        MailText.CANCELLED: "of them cancelled",
        MailText.OPEN: "of them still open",
        MailText.MEDIAN: "Half of the customers were reached within",
        MailText.MISSED: "Missed calls",
        MailText.MISSED_OPEN: "of them still open",
    },
    "fa": {
        MailText.NAME: "نام",
        MailText.CLAIMED_NAME: "نامی که تلفن اعلام کرده",
        MailText.NUMBER: "شماره",
        MailText.REQUEST: "درخواست تماس",
        MailText.EXCHANGE: "مرکز تلفن",
        MailText.MODULE: "ماژول",
        MailText.EXTENSION: "داخلی",
        MailText.QUEUE: "صف",
        MailText.AGENT: "کارشناس",
        MailText.DONE_BY: "انجام‌دهنده",
        MailText.BY: "کاربر",
        MailText.ATTEMPTS: "تعداد تلاش‌ها",
        MailText.TIME: "زمان",
        MailText.REGISTERED_AT: "تاریخ ثبت درخواست",
        MailText.TRUNK: "کانتکست تماس خروجی",
        MailText.CAUSE: "علت",
        MailText.OPEN_REQUEST: "دیدن درخواست در پنل",
        MailText.OPEN_PANEL: "باز کردن پنل",
        MailText.TESTED: "ایمیل‌های بازنگ به این نشانی می‌رسد.",
        MailText.FOOTER: "بازنگ این ایمیل را می‌فرستد چون مدیر سیستم نشانی شما را در «تنظیمات > ایمیل» ثبت کرده است.",
        MailText.OF_DAY: "خلاصه روز {first}",
        MailText.OF_WEEK: "خلاصه از {first} تا {last}",
        MailText.REGISTERED: "درخواست‌های ثبت‌شده",
        MailText.REACHED: "از این میان، انجام‌شده",
        MailText.FAILED: "از این میان، ناموفق",
        MailText.EXPIRED: "از این میان، منقضی",
        MailText.CANCELLED: "از این میان، لغوشده",
        MailText.OPEN: "از این میان، هنوز باز",
        MailText.MEDIAN: "با نیمی از مشتریان حداکثر پس از این مدت تماس گرفته شد",
        MailText.MISSED: "تماس‌های از دست رفته",
        MailText.MISSED_OPEN: "از این میان، هنوز باز",
    },
}
