"""A certified OpenID provider on loopback, its people, and logins with and without a browser."""

import asyncio
import base64
import hashlib
import re
import secrets
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from infra.probe import free_port
from infra.toolchain import CommandFailed, once, run

SOURCE = Path(__file__).with_name("oidc_provider")
SECRET = "a-secret-of-the-test"
CLIENT = "waggle"


def installed() -> Path:
    """The folder of the provider with its packages, by their checksums. Skips without Node or its registry."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no node and npm are installed: apt-get install nodejs npm")
    lock = (SOURCE / "package-lock.json").read_bytes()
    try:
        folder = once(f"oidc-provider-{hashlib.sha256(lock).hexdigest()[:12]}", _install)
    except CommandFailed as failed:
        pytest.skip(f"the provider cannot be installed: {failed}")
    shutil.copy(SOURCE / "provider.mjs", folder)
    return folder


def _install(draft: Path) -> None:
    draft.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, draft)
    run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=draft, within=120)


@dataclass(frozen=True)
class Provider:
    """A running provider."""

    issuer: str
    redirect: str

    async def code(self, client: str, login: str, challenge: str, **more: str) -> str:
        """The code that the provider sends the browser back with."""
        async with httpx.AsyncClient(trust_env=False) as browser:
            asked = {
                "response_type": "code",
                "client_id": client,
                "redirect_uri": self.redirect,
                "scope": "openid email",
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            } | more
            answer = await browser.get(f"{self.issuer}/auth", params=asked)
            for _ in range(12):
                if answer.is_redirect:
                    target = str(answer.next_request.url)
                    if target.startswith(self.redirect):
                        return parse_qs(urlsplit(target).query)["code"][0]
                    answer = await browser.get(target)
                else:
                    [form] = re.findall(r'<form[^>]*action="([^"]+)"', answer.text)
                    prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)[1]
                    given = {"prompt": prompt, "login": login, "password": "any"}
                    answer = await browser.post(httpx.URL(self.issuer).join(form), data=given)
        raise AssertionError("the login does not end")

    async def token(self, login: str, client: str = CLIENT, **more: str) -> str:
        """An identity token of a person."""
        verifier = secrets.token_urlsafe(32)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        form = {
            "grant_type": "authorization_code",
            "code": await self.code(client, login, challenge, **more),
            "redirect_uri": self.redirect,
            "code_verifier": verifier,
        }
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"{self.issuer}/token", data=form, auth=(client, SECRET))
        return answer.json()["id_token"]

    def rules(self, audience: str = CLIENT) -> str:
        """The table of the file of principals that grants its people something."""
        return f"""
[oidc]
issuer = "{self.issuer}"
audience = "{audience}"

[oidc.grants.approvers]
members = ["/finance/approvers"]
tenants = ["acme"]
roles = ["approver", "contents"]
groups = ["finance"]

[oidc.grants.watchers]
members = "watchers"
tenants = ["*"]
roles = ["viewer"]
"""


@asynccontextmanager
async def providing(redirect: str):
    """A provider that sends browsers back to this address."""
    folder, port = installed(), free_port()
    process = await asyncio.create_subprocess_exec(
        *("node", "provider.mjs", str(port), redirect),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"ready\n"
        yield Provider(f"http://127.0.0.1:{port}", redirect)
    finally:
        process.kill()
        await process.wait()


async def log_in(page, url: str, login: str) -> None:
    """Open a page of the console, and log in at the provider as a person with a browser does."""
    await page.goto(url)
    await page.get_by_role("link", name="Log in with 127.0.0.1").click()
    await page.fill('input[name="login"]', login)
    await page.fill('input[name="password"]', "any")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Continue").click()
