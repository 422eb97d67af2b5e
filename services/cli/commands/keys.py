"""`waggle keys`: keys for callers of the gateway, keys that sign decisions, and signing one."""

import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
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

from schemas.approval import CarryOut, Command, HumanDecided
from services.cli.exit_codes import ConsoleError, Exit
from services.cli.options import JsonOption
from services.cli.terminal import Screen, one_line
from shared.access.principals import Principals, Role, digest, new_key
from shared.access.signing import from_secret, new_secret, public_half, signed

app = typer.Typer(add_completion=False, help="Make keys, and sign decisions with them.", no_args_is_help=True)

SIGNABLE = {kind.wire_type(): kind for kind in (HumanDecided, CarryOut)}

_READ = "the gateway and the orchestrator read it at their next start"


@app.callback()
def keys() -> None:
    """Make keys, and sign decisions with them."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is; decisions and orders carry this name.")],
    tenant: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Whom it may act for; `*`: all.")] = None,
    role: Annotated[list[Role] | None, typer.Option(help="What it may do; submit and read unless given.")] = None,
    ed25519: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Make a pair of keys to sign decisions with; the private one.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a key for the gateway, or a pair to sign with, and print the entry for the file WAGGLE_KEYS names."""
    screen = Screen(json=json)
    tenants, roles = tenant or ["default"], role or [Role.SUBMIT, Role.READ]
    if ed25519 is not None:
        pair = Ed25519PrivateKey.generate()
        entry = _entry(name, {"ed25519": public_half(pair)}, tenants, roles)
        _keep(pair, ed25519)
        _show(screen, {"name": name, "file": str(ed25519), "entry": entry}, f"The private key is in {ed25519}.")
        return
    key = new_key()
    entry = _entry(name, {"sha256": digest(key)}, tenants, roles)
    said = f"The key, which is shown only now; its owner sets WAGGLE_KEY to it:\n{key}"
    _show(screen, {"name": name, "key": key, "entry": entry}, said)


@app.command()
def gateway(json: JsonOption = False) -> None:
    """Make the key by which the gateway signs what people decide there; print it and its entry. Keeps nothing."""
    key = new_secret()
    entry = f'[services.gateway]\ned25519 = "{public_half(from_secret(key))}"'
    said = f"The key, which is shown only now; set WAGGLE_SIGNING_KEY to it, for the gateway and nothing else:\n{key}"
    _show(Screen(json=json), {"key": key, "entry": entry}, said)


@app.command()
def sign(
    payload: Annotated[str, typer.Argument(metavar="FILE", help="The decision as JSON; `-`: standard input.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="Private key (PEM) of whom the decision is by.")],
    kind: Annotated[str, typer.Option("--type", help=f"Its type: {', '.join(SIGNABLE)}.")] = HumanDecided.wire_type(),
) -> None:
    """Print a decision as a record to publish: topic, key, headers with its signature, value."""
    if kind not in SIGNABLE:
        raise ConsoleError(f"`{one_line(kind)}` is no order that is signed", ", ".join(SIGNABLE), code=Exit.USAGE)
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
    topic = "decisions" if isinstance(order, HumanDecided) else "control"
    Screen(json=True).document({"topic": topic, "key": order.run_id, "headers": headers, "value": value})


def _show(screen: Screen, document: dict[str, str], said: str) -> None:
    if screen.json:
        screen.document(document)
        return
    screen.say(said)
    screen.say(f"\nThe entry for the file that WAGGLE_KEYS names; {_READ}:")
    screen.say(document["entry"])


def _order(source: str, kind: type[Command]) -> Command:
    try:
        return kind.read(sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes())
    except OSError as unreadable:
        raise ConsoleError(f"{source} cannot be read: {unreadable.strerror}", code=Exit.USAGE) from None
    except ValidationError as wrong:
        where = ".".join(map(str, wrong.errors()[0]["loc"]))
        message = f"it is no {kind.wire_type()}: {one_line(where)}: {wrong.errors()[0]['msg']}"
        raise ConsoleError(message, "docs/access.md shows one", code=Exit.USAGE) from None


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        found = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        message = f"{path} is no Ed25519 private key in PEM form"
        raise ConsoleError(message, "`waggle keys new NAME --ed25519 FILE` makes one", code=Exit.USAGE)
    return found


def _keep(key: Ed25519PrivateKey, path: Path) -> None:
    """Write a private key to a new file that only its owner reads."""
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
    except OSError as failed:
        message = f"{path} cannot be written: {failed.strerror}"
        raise ConsoleError(message, "name a new file", code=Exit.USAGE) from None


def _entry(name: str, key: dict[str, str], tenants: list[str], roles: list[Role]) -> str:
    """TOML. Raises ConsoleError for a name or a tenant that cannot be one."""
    try:
        Principals.model_validate({"principals": {name: {**key, "tenants": tenants, "roles": roles}}})
    except ValidationError as wrong:
        where = re.sub(r"\.function-.*", "", ".".join(map(str, wrong.errors()[0]["loc"][1:])))
        problem = f"{one_line(where)}: {wrong.errors()[0]['msg']}"
        raise ConsoleError(problem, "waggle keys new --help", code=Exit.USAGE) from None
    lists = {"tenants": tenants, "roles": [str(each) for each in roles]}
    lines = [f"{each} = [{', '.join(map(_quoted, names))}]" for each, names in lists.items()]
    return "\n".join([f'[principals."{name}"]', *(f"{kind} = {_quoted(text)}" for kind, text in key.items()), *lines])


def _quoted(name: str) -> str:
    return f'"{name}"'
