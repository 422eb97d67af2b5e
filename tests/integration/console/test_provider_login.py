"""Logging in with a real identity provider, in a real Chromium and by hand-made requests."""

import base64
import shutil
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.probe import free_port
from services.console.sessions import PREFIX
from shared.blackboard import RunStore
from tests.support.accessible import findings
from tests.support.console import Keys, Visit, console_for, said, waits
from tests.support.gateway_fixtures import records_of, serving
from tests.support.identity_provider import CLIENT, SECRET, log_in, providing

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
INBOX = "/inbox?tenant=acme"


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
async def provider(port):
    async with providing(f"http://127.0.0.1:{port}/login/callback") as running:
        yield running


@pytest.fixture
async def console(settings, topics, redis, sentinel, provider, port, tmp_path):
    """A client of a console whose gateway knows the provider."""
    keys = Keys(tmp_path / "keys.toml")
    keys.add("bob", ["read"])
    keys.path.write_text(keys.path.read_text() + provider.rules())
    await waits(RunStore(sentinel, 60), "run-a", "Send the mail?", tenant="acme")
    own = {"oidc_issuer": provider.issuer, "oidc_client": CLIENT, "oidc_secret": SECRET}
    own |= {"console_url": f"http://127.0.0.1:{port}", "oidc_scopes": "openid email"}
    async with (
        serving(settings, principals=keys.path) as gateway,
        console_for(settings, str(gateway.base_url), port, **own) as client,
    ):
        client.key = keys.keys["bob"]
        yield client


@pytest.fixture
async def page():
    playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium is installed: apt-get install chromium")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = await (await browser.new_context(java_script_enabled=False)).new_page()
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        yield page
        await browser.close()


async def test_a_person_logs_in_decides_in_their_own_name_and_logs_out(page, console, settings, provider):
    await log_in(page, str(console.base_url.join(INBOX)), "ann")
    await page.wait_for_url("**/inbox?tenant=acme")
    assert await page.get_by_text("Send the mail?").count()
    cookies = {each["name"]: each for each in await page.context.cookies(str(console.base_url))}
    assert "waggle_login" not in cookies, "the login's own cookie is gone"
    assert (cookies["waggle_console"]["httpOnly"], cookies["waggle_console"]["sameSite"]) == (True, "Strict")
    await page.locator('button[value="approve"]').first.click()
    await page.wait_for_url("**notice=approve**")
    [record] = await records_of(settings, "decisions", 1)
    assert b'"by":"ann@example.com as approvers"' in record.value.replace(b": ", b":")
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url("**/login?out=1")
    assert provider.issuer in await page.get_by_role("link", name="Log out there, too").get_attribute("href")
    await page.goto(str(console.base_url.join("/inbox?tenant=acme")))
    await page.wait_for_url("**/login?after=**")
    assert [each for each in page.complaints if "Content Security Policy" in each and "127.0.0.1" in each] == []


async def test_a_person_without_a_grant_sees_why_and_gets_no_session(page, console, redis):
    await log_in(page, str(console.base_url.join(INBOX)), "eve")
    await page.get_by_text("is in no group that has a role here").wait_for()
    assert [each async for each in redis.scan_iter(f"{PREFIX}*")] == []


async def test_the_pages_of_a_login_are_accessible(page, console):
    pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed")
    window = await (await page.context.browser.new_context()).new_page()
    for path in ("/login?after=/inbox", "/login?out=1", "/login/callback?code=x&state=y"):
        await window.goto(str(console.base_url.join(path)))
        for scheme in ("light", "dark"):
            await window.emulate_media(color_scheme=scheme)
            assert await findings(window) == [], (path, scheme)


async def begun(console) -> dict[str, str]:
    """The request that the console makes of the provider; the login's cookie is kept."""
    answer = await console.get("/login/provider?after=/runs")
    assert answer.status_code == 303
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


async def code_for(provider, asked: dict[str, str], **changes: str) -> str:
    about = {name: asked[name] for name in ("state", "nonce")} | changes
    return await provider.code(CLIENT, "ann", asked["code_challenge"], **about)


async def test_a_login_asks_for_a_code_with_pkce_state_and_nonce(console):
    asked, again = await begun(console), await begun(console)
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    for name in ("state", "nonce", "code_challenge"):
        assert len(base64.urlsafe_b64decode(asked[name] + "=")) == 32
        assert asked[name] != again[name]
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3


async def test_a_completed_login_keeps_the_token_sealed_and_no_longer_than_it_is_valid(console, provider, redis):
    asked = await begun(console)
    code = await code_for(provider, asked)
    given = {"code": code, "state": asked["state"], "iss": provider.issuer}
    answer = await console.get("/login/callback", params=given)
    assert answer.headers["refresh"] == "0;url=/runs"
    assert code not in answer.text
    [name] = [each async for each in redis.scan_iter(f"{PREFIX}*")]
    assert 3_000 < await redis.ttl(name) <= 3_600
    assert "eyJ" not in await redis.get(name)
    assert (await console.get("/runs?tenant=acme")).status_code == 200
    again = await console.get("/login/callback", params=given)
    assert again.status_code == 400, "a code counts once"


@pytest.mark.parametrize("fault", ["state", "cookie", "issuer", "code", "nonce", "denied"])
async def test_an_answer_that_does_not_belong_to_this_browsers_login_begins_no_session(console, provider, redis, fault):
    asked = await begun(console)
    changes = {"nonce": "another"} if fault == "nonce" else {}
    given = {"code": await code_for(provider, asked, **changes), "state": asked["state"], "iss": provider.issuer}
    match fault:
        case "state":
            given["state"] = "A" * 43
        case "cookie":
            console.cookies.clear()
        case "issuer":
            given["iss"] = "https://evil.example"
        case "code":
            given["code"] = "made-up"
        case "denied":
            given = {"error": "access_denied", "state": asked["state"]}
    answer = await console.get("/login/callback", params=given)
    assert answer.status_code == 400
    assert "What to do" in answer.text
    assert [each async for each in redis.scan_iter(f"{PREFIX}*")] == []


async def test_a_code_that_another_client_asked_for_is_not_redeemed(console, provider):
    asked = await begun(console)
    other = asked | {"code_challenge": "B" * 43}
    code = await code_for(provider, other)
    answer = await console.get("/login/callback", params={"code": code, "state": asked["state"]})
    assert answer.status_code == 400


@pytest.mark.parametrize("after", ["//evil.example", "https://evil.example", "/\\evil.example"])
async def test_a_login_leads_to_no_other_site(console, provider, after):
    answer = await console.get("/login/provider", params={"after": after})
    asked = {name: each[0] for name, each in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    given = {"code": await code_for(provider, asked), "state": asked["state"]}
    assert (await console.get("/login/callback", params=given)).headers["refresh"] == "0;url=/"


async def test_keys_are_accepted_besides_the_provider(console):
    assert "Log in with 127.0.0.1" in said((await console.get("/login")).text)
    assert (await Visit(console).log_in(console.key)).status_code == 303
    assert (await console.get("/runs")).status_code == 200


async def test_a_provider_that_is_gone_is_reported_and_the_form_for_keys_stays(settings, topics, redis):
    own = {"oidc_issuer": "http://127.0.0.1:9", "oidc_client": CLIENT, "console_url": "http://127.0.0.1:1"}
    async with serving(settings) as gateway, console_for(settings, str(gateway.base_url), **own) as client:
        answer = await client.get("/login/provider")
        assert answer.status_code == 503
        assert "identity provider cannot be reached" in answer.text
        assert 'name="key"' in (await client.get("/login?out=1")).text


async def test_without_a_provider_its_pages_are_unknown(settings, topics, redis):
    async with serving(settings) as gateway, console_for(settings, str(gateway.base_url)) as client:
        for path in ("/login/provider", "/login/callback?code=x&state=y"):
            assert (await client.get(path)).status_code == 404
