"""The prompts for callers, agents and phone calls: their default texts, and the keys that each text names."""

LANGUAGES: tuple[str, ...] = ("fa", "en")

# The prompts of a module, in the order in which a caller hears them.
PROMPT_KEYS: tuple[str, ...] = (
    "intro",
    "enter_number",
    "wrong_number",
    "entered_number",
    "is",
    "check_number",
    "before_success",
    "after_success",
)

# Not set per module: the intro for a caller without an own number, and the agent's announcement around the number and
# age of the request.
FIXED_KEYS: tuple[str, ...] = ("intro_other", "agent_intro", "agent_keys")

# Phone calls, by which someone in the office records a prompt or tests a phone.
PHONE_CALL_KEYS: tuple[str, ...] = (
    "phone_call_instructions",
    "phone_call_choice",
    "phone_call_silence",
    "phone_call_saved",
    "phone_call_failed",
    "phone_call_test",
)

_TEXTS: dict[str, dict[str, str]] = {
    "fa": {
        "intro": (
            "همکاران ما در حال حاضر پاسخگو نیستند. برای ثبت درخواست تماس با همین شماره، عدد ۱ و برای ثبت"
            " شماره‌ای دیگر، عدد ۲ را وارد کنید. برای انصراف، عدد ۰ را وارد کنید."
        ),
        "intro_other": (
            "همکاران ما در حال حاضر پاسخگو نیستند. برای ثبت شماره و درخواست تماس، عدد ۲ و برای انصراف، عدد ۰ را"
            " وارد کنید."
        ),
        "enter_number": "لطفاً شماره تماس خود را وارد کنید و در پایان کلید مربع را بزنید.",
        "wrong_number": "شماره وارد شده صحیح نیست.",
        "entered_number": "شماره وارد شده",
        "is": "می‌باشد.",
        "check_number": "اگر شماره صحیح است عدد ۱ و برای وارد کردن دوباره عدد ۲ را بزنید.",
        "before_success": "درخواست تماس شما در حال ثبت است. لطفاً چند لحظه منتظر بمانید.",
        "after_success": "درخواست تماس شما ثبت شد. به محض آزاد شدن همکاران ما با شما تماس می‌گیریم.",
        "agent_intro": "درخواست تماس از شماره",
        "agent_keys": "برای برقراری تماس عدد ۱ و برای بعد عدد ۲ را بزنید.",
        "phone_call_instructions": "پس از شنیدن بوق، متن را بخوانید و در پایان کلید مربع را بزنید.",
        "phone_call_choice": "برای نگه داشتن صدا عدد ۱، برای ضبط دوباره عدد ۲ و برای شنیدن آن عدد ۳ را بزنید.",
        "phone_call_silence": "صدایی شنیده نشد. لطفاً دوباره امتحان کنید.",
        "phone_call_saved": "صدا ذخیره شد. خدانگهدار.",
        "phone_call_failed": "صدا ذخیره نشد. خدانگهدار.",
        "phone_call_test": ("این یک تماس آزمایشی از بازنگ است. تلفن‌های شما وصل هستند. اکنون می‌توانید گوشی را بگذارید."),
    },
    "en": {
        "intro": (
            "Nobody can answer right now. To be called back on this number, press 1. To leave another number,"
            " press 2. To continue without it, press 0."
        ),
        "intro_other": (
            "Nobody can answer right now. To leave a number and be called back, press 2. To continue without it,"
            " press 0."
        ),
        "enter_number": "Please enter your number, then press the hash key.",
        "wrong_number": "That number is not valid.",
        "entered_number": "The number you entered,",
        "is": "",  # Persian puts the verb after the number, English before it
        "check_number": "If it is correct, press 1. To enter it again, press 2.",
        "before_success": "Your request is being registered. One moment, please.",
        "after_success": "Your request is registered. We will call you as soon as someone is free.",
        "agent_intro": "Call request from",
        "agent_keys": "Press 1 to call, 2 for later.",
        "phone_call_instructions": "After the tone, say the text. Press hash when you have finished.",
        "phone_call_choice": "Press 1 to keep it, 2 to record it again, 3 to hear it.",
        "phone_call_silence": "Nothing could be heard. Please try again.",
        "phone_call_saved": "The recording is saved. Goodbye.",
        "phone_call_failed": "The recording could not be saved. Goodbye.",
        "phone_call_test": "This is a test call of Bazang. Your telephones are connected. You can hang up now.",
    },
}

_ANNOUNCED: dict[str, tuple[str, ...]] = {
    "intro": ("1", "2", "0"),
    "intro_other": ("2", "0"),
    "enter_number": ("#",),
    "check_number": ("1", "2"),
    "agent_keys": ("1", "2"),
    "phone_call_instructions": ("#",),
    "phone_call_choice": ("1", "2", "3"),
}

_MAX_DAYS = 30  # a higher age is spoken as "more than": each age is a clip of its own, so their number must be limited


def default_text(key: str, language: str) -> str:
    """Return the text that is spoken unless the module has its own; "" if the language does not need this prompt.

    `key`: one of PROMPT_KEYS, FIXED_KEYS or PHONE_CALL_KEYS; `language`: one of LANGUAGES. Raises KeyError.
    """
    return _TEXTS[language][key]


def announced_keys(key: str) -> tuple[str, ...]:
    """Return the telephone keys that a recording of this prompt must name, in this order. Raises KeyError."""
    if key not in PROMPT_KEYS + FIXED_KEYS + PHONE_CALL_KEYS:
        raise KeyError(key)
    return _ANNOUNCED.get(key, ())


def age_text(minutes: int, language: str) -> str:
    """Return the spoken form of an age: whole minutes, whole hours from an hour, whole days from a day.

    Ages are rounded down, so there are at most 114 different texts per language, each synthesized once. A negative age,
    caused by clocks that differ, is spoken as less than a minute. Raises KeyError for an unknown language.
    """
    if language not in LANGUAGES:
        raise KeyError(language)
    format_age = _age_fa if language == "fa" else _age_en
    if minutes < 1:
        return format_age(0, "minute")
    if minutes < 60:
        return format_age(minutes, "minute")
    if minutes < 24 * 60:
        return format_age(minutes // 60, "hour")
    return format_age(minutes // (24 * 60), "day")


def _age_fa(count: int, unit: str) -> str:
    word = {"minute": "دقیقه", "hour": "ساعت", "day": "روز"}[unit]
    if count == 0:
        return f"کمتر از یک {word} پیش"
    if unit == "day" and count > _MAX_DAYS:
        return f"بیش از {_MAX_DAYS} {word} پیش"
    return f"{count} {word} پیش"


def _age_en(count: int, unit: str) -> str:
    if count == 0:
        return f"less than a {unit} ago"
    if unit == "day" and count > _MAX_DAYS:
        return f"more than {_MAX_DAYS} {unit}s ago"
    return f"{count} {unit}{'' if count == 1 else 's'} ago"
