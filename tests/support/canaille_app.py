"""Run Canaille, a real OpenID Connect provider, with the users and the client of a JSON object on the command line.

This runs in the provider's own environment, and imports nothing of ours.
"""

import json
import sys
from datetime import UTC, datetime

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

wanted = json.loads(sys.argv[1])
key = RSAKey.generate_key(2048, auto_kid=True)
app = create_app(
    {
        "SECRET_KEY": wanted["secret_key"],
        "CANAILLE_DATABASE": "memory",
        "SERVER_NAME": f"127.0.0.1:{wanted['port']}",
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {"DATABASE": "memory", "JAVASCRIPT": False, "HTMX": False},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [key.as_dict(private=True)]},
    }
)
with app.app_context():
    store = Backend.instance
    people: dict[str, list[object]] = {}
    for name, groups in wanted["users"].items():
        person = models.User(
            user_name=name,
            display_name=name,
            formatted_name=name.title(),
            family_name=name.title(),
            emails=[f"{name}@example.org"],
            password=wanted["password"],
        )
        store.save(person)
        for group in groups:
            people.setdefault(group, []).append(person)
    for group, members in people.items():
        store.save(models.Group(display_name=group, members=members))
    for client_id in (wanted["client_id"], "another-client"):
        client = models.Client(
            client_id=client_id,
            client_secret=wanted["client_secret"],
            client_name="Bazang",
            contacts=["office@example.org"],
            client_uri=f"http://127.0.0.1:{wanted['port']}/",
            redirect_uris=wanted["redirect_uris"],
            post_logout_redirect_uris=wanted["logout_uris"],
            grant_types=["authorization_code"],
            response_types=["code"],
            scope=["openid", "profile", "email", "groups"],
            token_endpoint_auth_method="client_secret_basic",
            id_token_signed_response_alg="RS256",
            client_id_issued_at=datetime.now(UTC),
            audience=[],
        )
        store.save(client)
        client.audience = [client]
        store.save(client)
server = make_server("127.0.0.1", wanted["port"], app, threaded=True)
print("ready", flush=True)
server.serve_forever()
