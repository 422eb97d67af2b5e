"""`waggle keys`: create keys for the gateway and for signing, and sign commands."""

import json as notation
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import ValidationError

from schemas.approval import Command, HumanDecided
from schemas.registry import TOPICS
from services.cli.exit_codes import CommandError, Exit
from services.cli.options import JsonOption
from services.cli.terminal import Screen, one_line
from shared.access.principals import SIGNED, Principals, Role, digest, new_key
from shared.access.signing import from_secret, new_secret, public_half, signed

app = typer.Typer(add_completion=False, help="Create keys, and sign commands with them.", no_args_is_help=True)

SIGNABLE: dict[str, type[Command]] = {kind.wire_type(): kind for kind in SIGNED if issubclass(kind, Command)}

_READ = "the gateway and the orchestrator read it when they start"


_TENANT_HELP = "Tenant that the owner may act for, `*` for all; may be repeated. Default: default."
_GROUP_HELP = "Group of people of the owner, which the gate's rules can ask; may be repeated."
_PERSON_HELP = "Person behind the key, if it is one of several: answers of one person count once. Default: the owner."
_ROLE_HELP = "Role of the owner; may be repeated. Default: submit and read."


@app.callback()
def keys() -> None:
    """Create keys, and sign commands with them."""


@app.command()
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Owner of the key, recorded as author of commands and decisions.")
    ],
    tenant: Annotated[list[str] | None, typer.Option(metavar="NAME", help=_TENANT_HELP)] = None,
    role: Annotated[list[Role] | None, typer.Option(help=_ROLE_HELP)] = None,
    group: Annotated[list[str] | None, typer.Option(metavar="NAME", help=_GROUP_HELP)] = None,
    person: Annotated[str | None, typer.Option(metavar="NAME", help=_PERSON_HELP)] = None,
    ed25519: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Create a signing key pair instead, and write the private key to FILE."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Create an API key for the gateway, or a signing key pair, and print its entry for the WAGGLE_KEYS file.

    Example: waggle keys new ada@example.com --tenant shop --role decide
    """
    screen = Screen(json=json)
    facts: dict[str, Any] = {"tenants": tenant or ["default"], "roles": role or [Role.SUBMIT, Role.READ]}
    facts |= {"groups": group} if group else {}
    facts |= {"person": person} if person else {}
    if ed25519 is not None:
        pair = Ed25519PrivateKey.generate()
        entry = _entry(name, {"ed25519": public_half(pair)} | facts)
        _keep(pair, ed25519)
        _show(screen, {"name": name, "file": str(ed25519), "entry": entry}, f"The private key is in {ed25519}.")
        return
    key = new_key()
    entry = _entry(name, {"sha256": digest(key)} | facts)
    text = f"The key, shown only once. Its owner sets WAGGLE_KEY to it:\n{key}"
    _show(screen, {"name": name, "key": key, "entry": entry}, text)


@app.command()
def gateway(json: JsonOption = False) -> None:
    """Create the key with which the gateway signs decisions, and print it with its entry. Nothing is saved."""
    key = new_secret()
    entry = f'[services.gateway]\ned25519 = "{public_half(from_secret(key))}"'
    text = f"The key, shown only once. Set WAGGLE_SIGNING_KEY to it, for the gateway only:\n{key}"
    _show(Screen(json=json), {"key": key, "entry": entry}, text)


@app.command()
def sign(
    payload: Annotated[str, typer.Argument(metavar="FILE", help="File with the command as JSON; `-` reads stdin.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="Private key of the command's author, in PEM form.")],
    kind: Annotated[
        str, typer.Option("--type", metavar="TYPE", help=f"Message type: {', '.join(SIGNABLE)}.")
    ] = HumanDecided.wire_type(),
) -> None:
    """Sign a command that permits calls, and print it as a Kafka record: topic, key, headers with the signature, value.

    Examples of all commands: docs/access.md.
    """
    if kind not in SIGNABLE:
        message = f"messages of type `{one_line(kind)}` are not signed"
        raise CommandError(message, f"--type takes {', '.join(SIGNABLE)}", code=Exit.USAGE)
    order = _order(payload, SIGNABLE[kind])
    value = order.written()
    attributes = {
        "ce_specversion": "1.0",
        "ce_type": kind,
        "ce_id": f"decision-{uuid4().hex}",
        "ce_source": "/waggle/cli",
    }
    attributes |= {"ce_time": datetime.now(UTC).isoformat(), "content-type": "application/json"}
    headers = signed(attributes, value.encode(), order.by, _private(key))
    topic = TOPICS[type(order)]
    Screen(json=True).document({"topic": topic, "key": order.run_id, "headers": headers, "value": value})


def _show(screen: Screen, document: dict[str, str], text: str) -> None:
    screen.answer(document, f"{text}\n\nThe entry for the file that WAGGLE_KEYS names; {_READ}:\n{document['entry']}")


def _order(source: str, kind: type[Command]) -> Command:
    try:
        return kind.read(sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes())
    except OSError as unreadable:
        message = f"cannot read {source}: {unreadable.strerror}"
        raise CommandError(message, "name a readable file, or `-` for stdin", code=Exit.USAGE) from None
    except ValidationError as invalid:
        where = ".".join(map(str, invalid.errors()[0]["loc"]))
        message = f"not a {kind.wire_type()}: {one_line(where)}: {invalid.errors()[0]['msg']}"
        raise CommandError(message, "docs/access.md has an example", code=Exit.USAGE) from None


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        found = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        message = f"{path} is not an Ed25519 private key in PEM form"
        raise CommandError(message, "create one with: waggle keys new NAME --ed25519 FILE", code=Exit.USAGE)
    return found


def _keep(key: Ed25519PrivateKey, path: Path) -> None:
    """Write a private key to a new file that only its owner may read."""
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
    except OSError as failed:
        message = f"cannot write {path}: {failed.strerror}"
        raise CommandError(
            message, "name a file that does not exist, in a folder you may write to", code=Exit.USAGE
        ) from None


def _entry(name: str, facts: dict[str, Any]) -> str:
    """Return the entry as TOML. Raises CommandError for an invalid name, tenant or group."""
    try:
        Principals.model_validate({"principals": {name: facts}})
    except ValidationError as invalid:
        where = re.sub(r"\.function-.*", "", ".".join(map(str, invalid.errors()[0]["loc"][1:])))
        problem = f"{one_line(where)}: {invalid.errors()[0]['msg']}"
        raise CommandError(problem, "waggle keys new --help", code=Exit.USAGE) from None
    return "\n".join([f'[principals."{name}"]', *(f"{each} = {_toml(value)}" for each, value in facts.items())])


def _toml(value: Any) -> str:
    """Return a text or a list of texts as TOML, of which JSON's are a part."""
    return notation.dumps([str(each) for each in value] if isinstance(value, list) else value, ensure_ascii=False)
