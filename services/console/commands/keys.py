"""`waggle keys new`: a key for somebody who shall use the gateway."""

import re
from typing import Annotated

import typer
from pydantic import ValidationError

from services.console.exits import ConsoleError, Exit
from services.console.options import ErrorsToExits, JsonOption
from services.console.text import Screen, one_line
from shared.principals import Principals, Role, digest, new_key

app = typer.Typer(cls=ErrorsToExits, help="Make keys for those who use the gateway.", no_args_is_help=True)


@app.callback()
def keys() -> None:
    """Make keys for those who use the gateway."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is; decisions and orders carry this name.")],
    tenant: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Whom it may act for; `*`: all.")] = None,
    role: Annotated[list[Role] | None, typer.Option(help="What it may do; submit and read unless given.")] = None,
    json: JsonOption = False,
) -> None:
    """Make a key, print it this once, and the entry for the file that WAGGLE_KEYS names. Keeps nothing."""
    key = new_key()
    entry = _entry(name, key, tenant or ["default"], role or [Role.SUBMIT, Role.READ])
    screen = Screen(json=json)
    if json:
        screen.document({"name": name, "key": key, "entry": entry})
        return
    screen.say("The key, which is shown only now; whoever uses it sets WAGGLE_KEY to it:")
    screen.say(key)
    screen.say("\nThe entry for the file that the gateway's WAGGLE_KEYS names; the gateway reads it at its next start:")
    screen.say(entry)


def _entry(name: str, key: str, tenants: list[str], roles: list[Role]) -> str:
    """TOML. Raises ConsoleError for a name or a tenant that cannot be one."""
    facts = {"sha256": digest(key), "tenants": tenants, "roles": roles}
    try:
        Principals.model_validate({"principals": {name: facts}})
    except ValidationError as wrong:
        where = re.sub(r"\.function-.*", "", ".".join(map(str, wrong.errors()[0]["loc"][1:])))
        problem = f"{one_line(where)}: {wrong.errors()[0]['msg']}"
        raise ConsoleError(problem, "waggle keys new --help", code=Exit.USAGE) from None
    lists = {"tenants": tenants, "roles": [str(each) for each in roles]}
    lines = [f"{each} = [{', '.join(map(_quoted, names))}]" for each, names in lists.items()]
    return "\n".join([f'[principals."{name}"]', f'sha256 = "{facts["sha256"]}"', *lines])


def _quoted(name: str) -> str:
    return f'"{name}"'
