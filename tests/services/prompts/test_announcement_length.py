"""How long the agent's announcement takes, with the real voices."""

import pytest

from app.audio.library import SoundLibrary
from app.audio.prompt_texts import age_text, default_text
from app.audio.spoken_numbers import group_text, number_groups
from app.services.prompts.voice import DEFAULT_SPEECH, agent_speech, synthesize

LONGEST = 8.0  # seconds
NUMBERS = ("09121234567", "09977778884", "02188776655")  # an ordinary one, and some with the longest names of numbers
MINUTES = (0, 5, 57, 60 * 17, 60 * 24 * 40)


@pytest.mark.parametrize("waiting", ["", "_waiting"])
@pytest.mark.parametrize("language", ["fa", "en"])
def test_announcement_is_short(library: SoundLibrary, language: str, waiting: str) -> None:
    def seconds(text: str) -> float:
        return synthesize(library, text, language, agent_speech(DEFAULT_SPEECH)).seconds

    keys = [default_text(f"{key}{waiting}", language) for key in ("agent_intro", "agent_keys")]
    numbers = {number: sum(seconds(group_text(g, language)) for g in number_groups(number)) for number in NUMBERS}
    ages = {minutes: seconds(age_text(minutes, language)) for minutes in MINUTES}
    assert sum(map(seconds, keys)) + max(numbers.values()) + max(ages.values()) <= LONGEST, (numbers, ages)
