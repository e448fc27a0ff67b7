"""A real OpenID provider on this machine: Canaille, with signed tokens, PKCE that it insists on, and a form.

`with Provider(redirect_url) as provider` runs it as a process of its own; `python -m tests.openid_provider`
is that process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import wsgiref.simple_server
from typing import Any

import httpx

from tests.tool import READY_S, free_port, until

PASSWORD = "correct horse battery staple"
CLIENT = {"client_id": "stenogram", "client_secret": "a-long-secret-of-the-provider"}
PEOPLE = {
    "anna": "anna@example.com",
    "boris": "boris@example.com",
    "clara": "clara@example.com",
    "stranger": "stranger@elsewhere.example",
}
GROUP = "listeners"
"""Of which Clara is a member."""


class Provider:
    """Knows PEOPLE by their name and PASSWORD, and one client."""

    def __init__(self, redirect_url: str) -> None:
        self.port = free_port()
        self.issuer = f"http://localhost:{self.port}"
        self.redirect_url = redirect_url

    def __enter__(self) -> Provider:
        asked = json.dumps({"port": self.port, "redirect_url": self.redirect_url})
        command = [sys.executable, "-m", "tests.openid_provider", asked]
        self.process = subprocess.Popen(
            command, env={**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"}, stderr=subprocess.DEVNULL
        )
        until(self._answers, READY_S, "the provider")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.issuer}/.well-known/openid-configuration").is_success
        except httpx.TransportError:
            return False


def _application(port: int, redirect_url: str) -> Any:
    from canaille import create_app
    from canaille.app import models
    from canaille.backends import Backend
    from joserfc.jwk import RSAKey

    key = RSAKey.generate_key(2048, auto_kid=True)
    app = create_app(
        {
            "SECRET_KEY": "only for tests",
            "WTF_CSRF_ENABLED": False,
            "PREFERRED_URL_SCHEME": "http",
            "SERVER_NAME": f"localhost:{port}",
            "CANAILLE": {
                "DATABASE": "memory",
                "JAVASCRIPT": False,
                "ACL": {"DEFAULT": {"PERMISSIONS": ["use_oidc"]}},
            },
            "CANAILLE_OIDC": {"ACTIVE_JWKS": [key.as_dict(private=True)]},
        }
    )
    with app.app_context():
        people = {
            name: models.User(
                user_name=name, given_name=name, family_name="Test", emails=[address], password=PASSWORD
            )
            for name, address in PEOPLE.items()
        }
        for person in people.values():
            Backend.instance.save(person)
        Backend.instance.save(models.Group(display_name=GROUP, members=[people["clara"]]))
        client = models.Client(
            **CLIENT,
            client_name="Stenogram",
            client_uri="http://127.0.0.1",
            redirect_uris=[redirect_url],
            post_logout_redirect_uris=[redirect_url],
            grant_types=["authorization_code"],
            response_types=["code"],
            scope=["openid", "profile", "email", "groups"],
            token_endpoint_auth_method="client_secret_basic",
        )
        Backend.instance.save(client)
        client.audience = [client]
        Backend.instance.save(client)
    return app


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    wsgiref.simple_server.make_server("localhost", asked["port"], _application(**asked)).serve_forever()
