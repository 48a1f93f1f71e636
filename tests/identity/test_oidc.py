"""What counts as a log-in at an OpenID Connect provider, against one that lies."""

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import RSAKey

from app.config import Settings
from app.identity.errors import Refused, Unreachable
from app.identity.http import Answer
from app.identity.oidc import KEPT, KEYS_AGAIN_AFTER, RETRIED_AFTER, Finished, Provider, Started
from tests.identity.provider_double import CLIENT, ISSUER, ProviderDouble

BACK = "https://panel.example.org/login/provider/back"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def double() -> ProviderDouble:
    return ProviderDouble()


def provider(double: ProviderDouble, clock: Clock | None = None, **changes: str) -> Provider:
    given = {"oidc_issuer": ISSUER, "oidc_client_id": CLIENT, "oidc_client_secret": "s", "oidc_operator_groups": "*"}
    settings = Settings(_env_file=None, **{**given, **changes})  # type: ignore[arg-type,call-arg]
    return Provider(settings, double, clock or Clock())


def finish(
    asked: Provider, double: ProviderDouble, changes: dict[str, str] | None = None, *, again: bool = False
) -> Finished:
    started = asked.begin(BACK, again=again)
    answer = {**double.authorize(started.url), **(changes or {})}
    return asked.finish(started, answer, BACK, datetime.now(UTC), again=again)


def test_a_right_log_in(double: ProviderDouble) -> None:
    done = finish(provider(double), double)
    assert (done.user.issuer, done.user.subject, done.user.name) == (ISSUER, "42", "nima")
    assert done.user.groups == {"staff"}
    assert done.user.extensions is None


def test_the_address_has_state_nonce_and_challenge(double: ProviderDouble) -> None:
    asked = provider(double)
    first, second = asked.begin(BACK), asked.begin(BACK)
    query = parse_qs(urlsplit(first.url).query)
    assert query["response_type"] == ["code"]
    assert query["redirect_uri"] == [BACK]
    assert query["code_challenge_method"] == ["S256"]
    assert first.verifier not in first.url
    assert {first.state, first.nonce, first.verifier}.isdisjoint({second.state, second.nonce, second.verifier})
    assert len(first.state) >= 43


now = int(time.time())


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example.org"},
        {"iss": None},
        {"aud": "another-client"},
        {"aud": ["another-client"]},
        {"aud": [CLIENT, "another-client"]},
        {"aud": [CLIENT, "another-client"], "azp": "another-client"},
        {"aud": None},
        {"nonce": "of another log-in"},
        {"nonce": None},
        {"exp": now - 6000},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": now + 6000},
        {"nbf": now + 6000},
        {"sub": None},
        {"sub": ""},
        {"sub": 42},
        {"sub": ["42"]},
        {"at_hash": "AAAA"},
    ],
    ids="-".join,  # the names only, because the moments differ from process to process
)
def test_a_token_with_a_wrong_claim_is_refused(double: ProviderDouble, claims: dict[str, Any]) -> None:
    double.claims = claims
    with pytest.raises(Refused):
        finish(provider(double), double)


@pytest.mark.parametrize(("claim", "offset"), [("exp", -60), ("iat", 60), ("nbf", 60)])
def test_small_differences_of_the_clocks_are_borne(double: ProviderDouble, claim: str, offset: int) -> None:
    double.claims = {claim: int(time.time()) + offset}
    assert finish(provider(double), double).user.subject == "42"


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_token_that_anybody_can_sign_is_refused(double: ProviderDouble, algorithm: str) -> None:
    double.algorithm = algorithm
    with pytest.raises(Refused):
        finish(provider(double), double)


def test_a_token_of_another_key_is_refused_and_a_new_key_is_fetched(double: ProviderDouble) -> None:
    clock = Clock()
    asked = provider(double, clock)
    finish(asked, double)
    double.key = RSAKey.generate_key(2048, {"kid": "2"})
    clock.now += KEYS_AGAIN_AFTER + 1
    with pytest.raises(Refused):
        finish(asked, double)
    double.published = [double.key]
    count = double.asked.count("/keys")
    with pytest.raises(Refused):
        finish(asked, double)  # it has just asked, so it does not ask again
    assert double.asked.count("/keys") == count
    clock.now += KEYS_AGAIN_AFTER + 1
    assert finish(asked, double).user.subject == "42"


@pytest.mark.parametrize(
    "changes", [{"state": "forged"}, {"state": ""}, {"code": ""}, {"iss": "https://evil.example.org"}], ids=str
)
def test_a_forged_way_back_is_refused_before_the_code_is_used(double: ProviderDouble, changes: dict[str, str]) -> None:
    with pytest.raises(Refused):
        finish(provider(double), double, changes)
    assert "/token" not in double.asked


def test_a_provider_that_names_itself_must_do_so(double: ProviderDouble) -> None:
    double.metadata["authorization_response_iss_parameter_supported"] = True
    with pytest.raises(Refused):
        finish(provider(double), double)
    assert finish(provider(double), double, {"iss": ISSUER}).user.subject == "42"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(400, b'{"error": "invalid_grant"}'),
        Answer(200, b"{}"),
        Answer(200, b'{"access_token": "x", "token_type": "Bearer", "id_token": 7}'),
        Answer(200, b"<html>"),
        Answer(502, b"bad gateway"),
        Answer(200, b"[" * 100_000),
        Answer(200, b'{"access_token": "x", "token_type": "Bearer", "id_token": "a.b"}'),
    ],
    ids=lambda answer: str(answer.body[:30]),
)
def test_other_answers_for_the_code_are_no_log_in(double: ProviderDouble, answer: Answer) -> None:
    double.token_answer = answer
    with pytest.raises((Refused, Unreachable)):
        finish(provider(double), double)


def test_claims_come_from_the_user_info_of_the_same_person_only(double: ProviderDouble) -> None:
    double.metadata["userinfo_endpoint"] = f"{ISSUER}/userinfo"
    double.claims = {"groups": None, "preferred_username": None}
    double.user_info = {"sub": "42", "groups": ["phones"], "preferred_username": "leila"}
    user = finish(provider(double), double).user
    assert user.name == "leila"
    assert user.groups == {"phones"}
    double.user_info = {"sub": "43", "groups": ["admins"]}
    with pytest.raises(Refused, match="somebody else"):
        finish(provider(double), double)


def test_a_huge_list_of_groups_and_strange_values(double: ProviderDouble) -> None:
    double.claims = {"groups": [*(f"group {n}" for n in range(5_000)), None, {"a": 1}, ["x"], True, 7]}
    groups = finish(provider(double), double).user.groups
    assert len(groups) == 5_001
    for value in ({"a": 1}, 5.5, None, True):
        double.claims = {"groups": value}
        assert finish(provider(double), double).user.groups == frozenset()


def test_groups_and_extension_of_other_claims(double: ProviderDouble) -> None:
    double.claims = {"realm_access": {"roles": ["admins"]}, "phone": "101, 102;x'); DROP", "groups": ["wrong"]}
    asked = provider(double, oidc_groups_claim="realm_access.roles", oidc_extension_claim="phone")
    user = finish(asked, double).user
    assert user.groups == {"admins"}
    assert user.extensions == ("101", "102")


def test_asking_again_needs_a_recent_authentication(double: ProviderDouble) -> None:
    asked = provider(double)
    assert "prompt=login" in asked.begin(BACK, again=True).url
    for auth_time in (None, int(time.time()) - 3600, "now"):
        double.claims = {"auth_time": auth_time}
        with pytest.raises(Refused):
            finish(asked, double, again=True)
    double.claims = {"auth_time": int(time.time())}
    assert finish(asked, double, again=True).user.subject == "42"


# -- what the provider publishes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example.org"},
        {"token_endpoint": "http://login.example.org/token"},
        {"token_endpoint": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"userinfo_endpoint": "http://127.0.0.1/"},
        {"end_session_endpoint": 7},
    ],
    ids=str,
)
def test_unsafe_metadata_is_not_used(double: ProviderDouble, changes: dict[str, Any]) -> None:
    double.metadata |= changes
    with pytest.raises(Unreachable):
        provider(double).begin(BACK)


def test_what_it_publishes_is_kept_and_a_provider_that_is_down_is_not_asked_each_time(double: ProviderDouble) -> None:
    clock = Clock()
    asked = provider(double, clock)
    double.down = True
    for _ in range(5):
        with pytest.raises(Unreachable):
            asked.begin(BACK)
    assert len(double.asked) == 1
    assert asked.is_known_unreachable()
    double.down = False
    clock.now += RETRIED_AFTER + 1
    assert not asked.is_known_unreachable()
    asked.begin(BACK)
    asked.begin(BACK)
    assert len(double.asked) == 2
    double.down = True
    clock.now += KEPT + 1
    assert asked.begin(BACK).url.startswith(f"{ISSUER}/authorize"), "its addresses rarely change"


def test_the_log_out_leads_back(double: ProviderDouble) -> None:
    asked = provider(double)
    assert asked.logout_url("token", "https://panel.example.org/login") == "", "it was not asked yet"
    asked.metadata()
    query = parse_qs(urlsplit(asked.logout_url("token", "https://panel.example.org/login")).query)
    assert query["id_token_hint"] == ["token"]
    assert query["post_logout_redirect_uri"] == ["https://panel.example.org/login"]
    assert "id_token_hint" not in asked.logout_url("x" * 10_000, "https://panel.example.org/login")


def test_a_started_log_in_has_no_secret_in_its_address(double: ProviderDouble) -> None:
    started: Started = provider(double).begin(BACK)
    assert "client_secret" not in started.url
