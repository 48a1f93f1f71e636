"""The prompts for callers, agents and phone calls: their default texts, and the keys that each text names."""

from datetime import datetime

LANGUAGES: tuple[str, ...] = ("fa", "en")

# The prompts of a module, in the order in which a caller hears them. `closed` comes before them or instead of them.
# `offer` is for callers who wait in a queue. The last three are for the customer who is called back: the question, and
# what those hear who are rung first.
PROMPT_KEYS: tuple[str, ...] = (
    "intro",
    "enter_number",
    "wrong_number",
    "entered_number",
    "is",
    "check_number",
    "before_success",
    "after_success",
    "closed",
    "offer",
    "ask_customer",
    "greet_customer",
    "apology",
)

# Of a module whose callers may choose the time of the call. Not set per module: the times between them are spoken, too.
TIME_KEYS: tuple[str, ...] = (
    "time_offer",
    "time_choice",
    "time_moved",
    "time_next",
    "time_next_other",
    "after_success_time",
)

# For a caller who has an open request already. Not set per module: the place in line is spoken between the first two.
OPEN_KEYS: tuple[str, ...] = ("has_open", "open_choice", "withdrawn")

# Of a module whose callers may say their name. Not set per module: a tone follows.
NAME_KEYS: tuple[str, ...] = ("say_name",)

# Not set per module: the intro for a caller without an own number, what is said after a registration outside the office
# hours, and the agent's announcement around the number and age of the request.
FIXED_KEYS: tuple[str, ...] = (
    "intro_other",
    "after_success_closed",
    "agent_intro",
    "agent_intro_waiting",
    "agent_keys",
    "agent_keys_waiting",
    *TIME_KEYS,
    *OPEN_KEYS,
    *NAME_KEYS,
)

# Phone calls, by which someone in the office records a prompt or tests a phone.
PHONE_CALL_KEYS: tuple[str, ...] = (
    "phone_call_instructions",
    "phone_call_choice",
    "phone_call_silence",
    "phone_call_saved",
    "phone_call_failed",
    "phone_call_test",
)

# In the text of a prompt they stand for the name of the office, and for the key by which callers leave the queue.
NAME, KEY = "{name}", "{key}"
_USUAL_KEY = "1"  # in the sample of a module that has none yet
_KEY_NAMES = {"fa": {"*": "ستاره", "#": "مربع"}, "en": {"*": "star", "#": "hash"}}

_TEXTS: dict[str, dict[str, str]] = {
    # Persian texts carry the short e between two words and the like: the voice speaks only what is written.
    "fa": {
        "intro": (
            "همکارانِ ما پاسخگو نیستند. برای تماس با همین شماره عددِ ۱، شماره‌ای دیگر عددِ ۲ و انصراف عددِ ۰ را بزنید."
        ),
        "intro_other": ("همکارانِ ما پاسخگو نیستند. برای ثبتِ شماره و درخواستِ تماس عددِ ۲، و برای انصراف عددِ ۰ را بزنید."),
        "enter_number": "لطفاً شمارهٔ تماسِ خود را وارد کنید و در پایان کلیدِ مربع را بزنید.",
        "wrong_number": "شمارهٔ وارد شده صحیح نیست.",
        "entered_number": "شمارهٔ وارد شده",
        "is": "می‌باشد.",
        "check_number": "اگر شماره صحیح است عددِ ۱، و برای وارد کردنِ دوباره عددِ ۲ را بزنید.",
        "before_success": "درخواستِ تماسِ شما در حالِ ثبت است. لطفاً چند لحظه منتظر بمانید.",
        "after_success": "درخواستِ تماسِ شما ثبت شد. به محضِ آزاد شدنِ همکارانِ ما با شما تماس می‌گیریم.",
        "after_success_closed": "درخواستِ تماسِ شما ثبت شد. در ساعاتِ کاری با شما تماس می‌گیریم.",
        "closed": "اکنون خارج از ساعاتِ کاریِ ماست.",
        "has_open": "درخواستِ تماسِ شما پیش از این ثبت شده و در نوبت است.",
        "open_choice": "برای ماندن در نوبت عددِ ۱، برای تماس با شماره‌ای دیگر عددِ ۲، و برای لغوِ درخواست عددِ ۹ را بزنید.",
        "withdrawn": "درخواستِ تماسِ شما لغو شد.",
        "time_offer": "برای انتخابِ زمانِ تماس، عددِ ۳ را بزنید.",
        "time_choice": (
            "برای تماس در ده دقیقهٔ دیگر عددِ ۱، بیست دقیقهٔ دیگر عددِ ۲، و به همین ترتیب تا نود دقیقهٔ دیگر عددِ ۹ را"
            " بزنید. برای فردا صبح کلیدِ ستاره، و برای فردا بعدازظهر کلیدِ مربع را بزنید."
        ),
        "time_moved": "در آن زمان نمی‌توانیم تماس بگیریم.",
        "time_next": "برای تماس با همین شماره عددِ ۱، با شماره‌ای دیگر عددِ ۲، و برای انتخابِ زمانی دیگر عددِ ۳ را بزنید.",
        "time_next_other": "برای وارد کردنِ شمارهٔ تماس عددِ ۲، و برای انتخابِ زمانی دیگر عددِ ۳ را بزنید.",
        "after_success_time": "درخواستِ تماسِ شما ثبت شد. در زمانی که انتخاب کردید با شما تماس می‌گیریم.",
        "say_name": "اگر می‌خواهید نامِ خود را بگویید، پس از شنیدنِ بوق صحبت کنید. در غیرِ این صورت عددِ ۰ را بزنید.",
        "offer": (
            f"همهٔ همکارانِ ما مشغول‌اند. اگر نمی‌خواهید منتظر بمانید، کلیدِ {KEY} را بزنید تا با شما تماس بگیریم. نوبتِ شما"
            " محفوظ می‌ماند. در غیرِ این صورت پشتِ خط بمانید."
        ),
        "ask_customer": (
            f"از {NAME} و برای درخواستِ تماسِ شما تماس می‌گیریم. برای صحبت با همکارانِ ما عددِ ۱ را بزنید. اگر دیرتر تماس"
            " بگیریم بهتر است عددِ ۲، و اگر دیگر نیازی به تماس نیست عددِ ۹ را بزنید."
        ),
        "greet_customer": f"از {NAME} و برای درخواستِ تماسِ شما تماس می‌گیریم. لطفاً چند لحظه منتظر بمانید.",
        "apology": "متأسفانه همکارِ ما در این لحظه نتوانست پاسخ دهد. پوزش می‌خواهیم و دوباره با شما تماس می‌گیریم.",
        "agent_intro": "تماس با",
        "agent_intro_waiting": "پشتِ خط:",
        "agent_keys": "عددِ ۱ تماس، ۲ بعد.",
        "agent_keys_waiting": "عددِ ۱ صحبت، ۲ بعد.",
        "phone_call_instructions": "پس از شنیدنِ بوق، متن را بخوانید و در پایان کلیدِ مربع را بزنید.",
        "phone_call_choice": "برای نگه داشتنِ صدا عددِ ۱، برای ضبطِ دوباره عددِ ۲، و برای شنیدنِ آن عددِ ۳ را بزنید.",
        "phone_call_silence": "صدایی شنیده نشد. لطفاً دوباره امتحان کنید.",
        "phone_call_saved": "صدا ذخیره شد. خدانگهدار.",
        "phone_call_failed": "صدا ذخیره نشد. خدانگهدار.",
        "phone_call_test": "این یک تماسِ آزمایشی از بازَنگ است. تلفن‌های شما وصل هستند. اکنون می‌توانید گوشی را بگذارید.",
    },
    "en": {
        "intro": (
            "Nobody can answer now. To be called back on this number, press 1; on another number, 2. To continue"
            " without it, press 0."
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
        "after_success_closed": "Your request is registered. We will call you when our office is open.",
        "closed": "Our office is closed now.",
        "has_open": "We have your call request already.",
        "open_choice": "To keep it, press 1. For a call on another number, press 2. To withdraw it, press 9.",
        "withdrawn": "Your call request is withdrawn.",
        "time_offer": "To choose when we call you, press 3.",
        "time_choice": (
            "For a call in ten minutes, press 1, in twenty minutes, press 2, and so on, up to 9 for ninety minutes."
            " For tomorrow morning, press star. For tomorrow afternoon, press hash."
        ),
        "time_moved": "We cannot call you at that time.",
        "time_next": (
            "To be called on this number, press 1. On another number, press 2. To choose another time, press 3."
        ),
        "time_next_other": "To enter your number, press 2. To choose another time, press 3.",
        "after_success_time": "Your request is registered. We will call you at the time that you chose.",
        "say_name": "If you like, say your name after the tone. Otherwise press 0.",
        "offer": (
            f"All our agents are busy. If you do not want to wait, press {KEY}, and we will call you back. You keep"
            " your place in line. Otherwise, please stay on the line."
        ),
        "ask_customer": (
            f"This is {NAME}, calling you back. To talk to us, press 1. If we should call later, press 2. If you no"
            " longer need our call, press 9."
        ),
        "greet_customer": f"This is {NAME}, calling you back. One moment, please.",
        "apology": "We are sorry, nobody can take your call at this moment. We will call you again.",
        "agent_intro": "Request from",
        "agent_intro_waiting": "On the line:",
        "agent_keys": "Press 1 to call, 2 for later.",
        "agent_keys_waiting": "Press 1 to talk, 2 for later.",
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
    "ask_customer": ("1", "2", "9"),
    "agent_keys": ("1", "2"),
    "open_choice": ("1", "2", "9"),
    "agent_keys_waiting": ("1", "2"),
    "time_offer": ("3",),
    "say_name": ("0",),
    "time_choice": ("1", "2", "9", "*", "#"),
    "time_next": ("1", "2", "3"),
    "time_next_other": ("2", "3"),
    "phone_call_instructions": ("#",),
    "phone_call_choice": ("1", "2", "3"),
}

_MAX_DAYS = 30  # a higher age is spoken as "more than": each age is a clip of its own, so their number must be limited


def default_text(key: str, language: str) -> str:
    """Return the text that is spoken unless the module has its own; "" if the language does not need this prompt.

    `key`: one of PROMPT_KEYS, FIXED_KEYS or PHONE_CALL_KEYS; `language`: one of LANGUAGES. Raises KeyError.
    """
    return _TEXTS[language][key]


def fill_in(text: str, office_name: str, offer_key: str = "") -> str:
    """Return the text as it is spoken: with the name of the office, and the key by which callers leave the queue.

    `offer_key` is as `spoken_key` names it, "": any.
    """
    return text.replace(NAME, office_name).replace(KEY, offer_key or _USUAL_KEY)


def spoken_key(key: str, language: str) -> str:
    """Return a key of the telephone as a text can name it: a digit itself, or the name of the key. Raises KeyError."""
    return _KEY_NAMES[language].get(key, key)


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


def delay_text(minutes: int, language: str) -> str:
    """Return what a caller hears who is called in so many minutes. Raises KeyError for an unknown language."""
    return {
        "fa": f"{minutes} دقیقهٔ دیگر با شما تماس می‌گیریم.",
        "en": f"We will call you in {minutes} minutes.",
    }[language]


def appointment_text(at: datetime, now: datetime, language: str) -> str:
    """Return what a caller hears who is called at a moment. Both moments are by the clock of the office.

    A week or more ahead, the number of days is said as well: callers count days more easily than they note a date.
    Raises KeyError for an unknown language.
    """
    days = (at.date() - now.date()).days
    if language == "fa":
        return f"{_day_fa(at, days)} {_time_fa(at)} با شما تماس می‌گیریم."
    return {"en": f"We will call you {_day_en(at, days)}, at {_time_en(at)}."}[language]


_MOST_AHEAD = 20  # a longer line is spoken as "more than": each place is a clip of its own
# By the rough minutes of domain/estimated_wait.py.
_WAITS: dict[str, dict[int, str]] = {
    "fa": {
        5: "احتمالاً کمتر از ۵ دقیقهٔ دیگر با شما تماس می‌گیریم.",
        **{minutes: f"احتمالاً حدودِ {minutes} دقیقهٔ دیگر با شما تماس می‌گیریم." for minutes in (10, 15, 20, 30, 45)},
        60: "احتمالاً حدودِ یک ساعتِ دیگر با شما تماس می‌گیریم.",
        90: "احتمالاً بیش از یک ساعت طول می‌کشد تا با شما تماس بگیریم.",
    },
    "en": {
        5: "We will probably call you in less than 5 minutes.",
        **{minutes: f"We will probably call you in about {minutes} minutes." for minutes in (10, 15, 20, 30, 45)},
        60: "We will probably call you in about an hour.",
        90: "It will probably take more than an hour until we call you.",
    },
}


def place_text(ahead: int, language: str) -> str:
    """Return the text that tells a caller how many others are ahead. Raises KeyError for an unknown language."""
    count, is_long = min(ahead, _MOST_AHEAD), ahead > _MOST_AHEAD
    if language == "fa":
        return (
            f"{'بیش از ' if is_long else ''}{count} نفر پیش از شما در نوبت هستند." if ahead else "شما نفرِ بعدی هستید."
        )
    if is_long:
        return {"en": f"More than {count} people are before you in line."}[language]
    return {"en": f"You are number {count + 1} in line." if ahead else "You are next in line."}[language]


def wait_text(minutes: int, language: str) -> str:
    """Return the text that tells a caller the estimated wait, in rough minutes (see domain/estimated_wait.py).

    Raises KeyError for other minutes, and for an unknown language.
    """
    return _WAITS[language][minutes]


_WEEKDAYS_FA = ("دوشنبه", "سه‌شنبه", "چهارشنبه", "پنجشنبه", "جمعه", "شنبه", "یکشنبه")
_WEEKDAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _day_fa(at: datetime, days: int) -> str:
    if days < 2:
        return ("امروز", "فردا")[max(0, days)]
    weekday = _WEEKDAYS_FA[at.weekday()]
    return f"روزِ {weekday}" if days < 7 else f"{days} روزِ دیگر، {weekday}"


def _day_en(at: datetime, days: int) -> str:
    if days < 2:
        return ("today", "tomorrow")[max(0, days)]
    weekday = f"on {_WEEKDAYS_EN[at.weekday()]}"
    return weekday if days < 7 else f"in {days} days, {weekday}"


def _time_fa(at: datetime) -> str:
    minutes = f" و {at.minute} دقیقهٔ" if at.minute else ""
    parts = ((4, "بامداد"), (12, "صبح"), (13, "ظهر"), (18, "بعدازظهر"), (24, "شب"))
    part = next(name for end, name in parts if at.hour < end)
    return f"ساعتِ {(at.hour - 1) % 12 + 1}{minutes} {part}"


def _time_en(at: datetime) -> str:
    hour = (at.hour - 1) % 12 + 1
    parts = ((4, "at night"), (12, "in the morning"), (18, "in the afternoon"), (24, "in the evening"))
    part = next(name for end, name in parts if at.hour < end)
    return f"{hour}:{at.minute:02} {part}" if at.minute else f"{hour} {part}"


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
