"""Distinction between an unavailable server, worth waiting for, and one that refuses us permanently."""

import ssl
from collections.abc import Iterator

_OURS = ("certificate required", "bad certificate", "unknown ca", "certificate expired", "certificate unknown")
"""Texts of TLS alerts about a client certificate that is missing or not accepted."""


def tls_refusal(error: BaseException, address: str, prefix: str) -> str | None:
    """Return why TLS with this server fails and the remedy; None for an error of another kind.

    `prefix` begins the names of the three variables, such as `WAGGLE_KAFKA`.
    """
    for each in chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"the certificate of {address} is not accepted: {_about(each, prefix)}"
        if isinstance(each, ssl.SSLError):
            return _alert(each, address, prefix)
    return None


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _about(error: ssl.SSLCertVerificationError, prefix: str) -> str:
    said = error.verify_message.rstrip(".")
    if "expired" in said or "not yet valid" in said:
        return f"{said}. Renew the server's certificate, or set this machine's clock right"
    if "mismatch" in said:
        return f"{said}. Name the server in {prefix} as its certificate does, or have that name added to it"
    return f"{said}. {prefix}_CA must name the file of the authority that signed it"


def _alert(error: ssl.SSLError, address: str, prefix: str) -> str | None:
    reason = (error.reason or str(error)).lower().replace("_", " ")
    if any(word in reason for word in _OURS):
        return (
            f"{address} does not accept this service's certificate ({reason}): {prefix}_CERTIFICATE and {prefix}_KEY "
            "must name one that it trusts"
        )
    if any(word in reason for word in ("wrong version", "record layer", "packet length", "unknown protocol")):
        return f"{address} does not speak TLS on this port ({reason}): name its TLS port in {prefix}, or do without TLS"
    return f"TLS with {address} fails ({reason}): see the server's log for why" if "alert" in reason else None
