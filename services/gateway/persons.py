"""People of the identity provider: an identity token is a credential like a key, and the file says what it permits.

| a token | is answered |
|---|---|
| that is refused: `shared/access/id_tokens.py` has the reasons | 401, with the reason |
| without a usable claim for the person, or with an address that the provider has not verified | 403, `no_person` |
| of a person in no group that the file knows | 403, `no_grant` |
| while the provider cannot be reached and its keys are not known | 503, `issuer_unavailable` |
"""

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from services.gateway.errors import Refused, unavailable
from shared.access.id_tokens import Issuer, IssuerUnavailable, UntrustedToken, client_for
from shared.access.principals import IdentityProvider, is_person

log = structlog.get_logger()

LONGEST_NAME = 200
"""Characters of an author in messages."""

_MOST_GROUPS = 1_000


class Persons:
    """People by their identity tokens."""

    def __init__(self, rules: IdentityProvider) -> None:
        self._rules = rules
        self._issuer = Issuer(rules.issuer, rules.audience, client_for(rules.issuer))

    async def close(self) -> None:
        """Close the connections to the issuer."""
        await self._issuer.http.aclose()

    async def whose(self, token: str, note: Callable[[str], None]) -> str:
        """Return the name of the person, with their grants. Raises Refused; `note` gets the reason first."""
        try:
            claims = await self._issuer.verify(token)
        except UntrustedToken as refused:
            note("bad_token")
            message = f"the identity token is refused: {refused.reason}"
            headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise Refused(401, "unauthenticated", message, action="log in again", headers=headers) from None
        except IssuerUnavailable as down:
            log.warning("issuer_unavailable", issuer=self._rules.issuer, reason=str(down))
            raise unavailable("issuer_unavailable", "the identity provider cannot be reached") from None
        return self._named(claims, note)

    def _named(self, claims: Mapping[str, Any], note: Callable[[str], None]) -> str:
        person = claims.get(self._rules.person)
        if not is_person(person) or (self._rules.person == "email" and claims.get("email_verified") is not True):
            note("no_person")
            message = f"the identity token has no usable claim `{self._rules.person}`"
            action = "name another claim as `person` in the file of WAGGLE_KEYS: docs/access.md"
            raise Refused(403, "no_person", message, action=action)
        name = self._rules.name_of(str(person), _groups(claims.get(self._rules.groups)))
        if name is None or len(name) > LONGEST_NAME:
            note("no_grant")
            message = f"`{person}` is in no group that has a role here"
            raise Refused(403, "no_grant", message, action="ask an operator for a grant: docs/access.md")
        return name


def _groups(claim: object) -> list[str]:
    """Return the groups of a claim: a list, or a single one."""
    given = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return [each for each in given[:_MOST_GROUPS] if isinstance(each, str)]
