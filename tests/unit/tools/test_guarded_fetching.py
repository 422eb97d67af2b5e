"""The guarded client against hostile addresses: names and connections are made up, nothing leaves the process."""

import gzip
import ssl

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tools import ToolError
from shared.tools.web.addresses import is_public
from shared.tools.web.client import GuardedClient

PUBLIC = "93.184.216.34"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=latin-1\r\nContent-Length: 5\r\n\r\nhello"


class Stream(httpcore.AsyncMockStream):
    def __init__(self, answer, network):
        super().__init__([answer])
        self.network = network

    async def start_tls(self, ssl_context, server_hostname=None, **_):
        self.network.tls.append((server_hostname, ssl_context.check_hostname, ssl_context.verify_mode))
        return self

    async def write(self, buffer, **_):
        self.network.sent += buffer


class Network(httpcore.AsyncNetworkBackend):
    """Answers every connection with the next of its answers, and remembers what was dialled."""

    def __init__(self, *answers, dead=()):
        self.answers = list(answers) or [OK]
        self.dead = dead
        self.dialled = []
        self.tls = []
        self.sent = b""

    async def connect_tcp(self, host, port, *_):
        self.dialled.append((host, port))
        if host in self.dead:
            raise httpcore.ConnectError("refused")
        return Stream(self.answers.pop(0), self)


def resolver(**names):
    async def resolve(host, port):
        answers = names.get(host.replace(".", "_"), [host])
        return answers.pop(0) if isinstance(answers[0], list) else answers

    return resolve


def redirect(to):
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


def answer(body, *headers):
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def refused(url, network, *, code="refused_address", **client):
    with pytest.raises(ToolError) as raised:
        await GuardedClient(network=network, **client).get(url)
    assert raised.value.code == code
    return raised.value


HIDDEN = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "192.88.99.1", "203.0.113.5", "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2001:db8::1", "3fff::1", "not an address",
]  # fmt: skip


@pytest.mark.parametrize("address", HIDDEN)
async def test_a_name_that_leads_inside_is_refused_before_anything_is_dialled(address):
    network = Network()
    await refused("http://inside.example/", network, resolve=resolver(inside_example=[address]))
    assert network.dialled == []


@pytest.mark.parametrize("address", ["8.8.8.8", PUBLIC, "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"])
def test_public_addresses_are_public(address):
    assert is_public(address)


@given(st.ip_addresses(v=4).filter(lambda address: address.is_private or address.is_multicast))
def test_private_and_multicast_addresses_are_never_public(address):
    assert not is_public(str(address))
    assert not is_public(f"::ffff:{address}")


async def test_one_hidden_address_among_public_ones_refuses_the_name():
    network = Network()
    await refused("http://mixed.example/", network, resolve=resolver(mixed_example=[PUBLIC, "10.0.0.1"]))
    assert network.dialled == []


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://user:secret@public.example/",
        "file:///etc/passwd",
        "gopher://public.example/",
        "ftp://public.example/",
        "http:///nowhere",
        "http://public.example:22/",
        "http://public.example:6379/",
        "//public.example/",
        "http://public.example:99999/",
    ],
)
async def test_urls_that_are_no_web_addresses_or_lead_inside_are_refused(url):
    network = Network()
    await refused(url, network, resolve=resolver(public_example=[PUBLIC]), allow=["public.example"])
    assert network.dialled == []


async def test_the_checked_address_is_dialled_and_the_name_asked_only_once():
    network = Network()
    # A second question to this resolver would be answered with an inside address.
    answers = [[PUBLIC], ["127.0.0.1"]]
    page = await GuardedClient(resolve=resolver(rebinding_example=answers), network=network).get(
        "http://rebinding.example:8080/a?b=c"
    )
    assert network.dialled == [(PUBLIC, 8080)]
    assert b"GET /a?b=c HTTP/1.1\r\nHost: rebinding.example:8080\r\n" in network.sent
    assert (page.body, page.media_type, page.charset) == (b"hello", "text/plain", "latin-1")


async def test_tls_is_verified_against_the_name_though_the_address_is_dialled():
    network = Network()
    await GuardedClient(resolve=resolver(safe_example=[PUBLIC]), network=network).get("https://safe.example/")
    assert network.dialled == [(PUBLIC, 443)]
    assert network.tls == [("safe.example", True, ssl.CERT_REQUIRED)]


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/x", "http://127.0.0.1/", "//[::1]/", "http://inside.example/"]
)
async def test_a_redirect_to_the_inside_is_refused(target):
    network = Network(redirect(target), OK)
    names = resolver(public_example=[PUBLIC], inside_example=["10.0.0.1"])
    await refused("http://public.example/", network, resolve=names)
    assert network.dialled == [(PUBLIC, 80)]


async def test_credentials_follow_a_redirect_on_the_same_origin_only():
    names = resolver(a_example=[PUBLIC], b_example=["8.8.8.8"])
    network = Network(redirect("/there"), redirect("http://b.example/"), redirect("http://a.example/"), OK)
    key = {"Authorization": "Bearer secret"}
    await GuardedClient(resolve=names, network=network).get("http://a.example/", key)
    sent = [b"secret" in request for request in network.sent.split(b"GET ")[1:]]
    assert sent == [True, True, False, False]


async def test_redirects_are_followed_to_public_places_and_end_somewhere():
    names = resolver(a_example=[PUBLIC], b_example=["8.8.8.8"])
    network = Network(redirect("https://b.example/there"), OK)
    page = await GuardedClient(resolve=names, network=network).get("http://a.example/")
    assert page.url == "https://b.example/there"
    assert network.dialled == [(PUBLIC, 80), ("8.8.8.8", 443)]
    endless = Network(*[redirect("/again")] * 10)
    await refused("http://a.example/", endless, resolve=names, code="http_error")
    assert len(endless.dialled) == 6


async def test_the_next_address_is_tried_when_one_is_dead():
    network = Network(dead=["8.8.8.8"])
    await GuardedClient(resolve=resolver(two_example=["8.8.8.8", PUBLIC]), network=network).get("http://two.example/")
    assert network.dialled == [("8.8.8.8", 80), (PUBLIC, 80)]
    error = await refused(
        "http://dead.example/",
        Network(dead=["8.8.8.8"]),
        resolve=resolver(dead_example=["8.8.8.8"]),
        code="unreachable",
    )
    assert error.retryable


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        answer(gzip.compress(b"x" * 1001), "Content-Encoding: gzip"),
    ],
    ids=["announced", "streamed", "decompressed"],
)
async def test_a_body_above_the_limit_is_refused_announced_streamed_or_compressed(response):
    names = resolver(big_example=[PUBLIC])
    await refused("http://big.example/", Network(response), resolve=names, max_bytes=1000, code="too_large")


async def test_a_compressed_body_is_read():
    network = Network(answer(gzip.compress(b"small"), "Content-Encoding: gzip"))
    page = await GuardedClient(resolve=resolver(zip_example=[PUBLIC]), network=network).get("http://zip.example/")
    assert page.body == b"small"


async def test_a_failing_status_says_whether_a_retry_helps():
    for status, retryable in [(404, False), (403, False), (429, True), (503, True)]:
        network = Network(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
        error = await refused("http://a.example/", network, resolve=resolver(a_example=[PUBLIC]), code="http_error")
        assert str(status) in str(error)
        assert error.retryable is retryable


async def test_an_allowed_host_is_reached_inside_on_web_ports_or_on_the_port_named():
    names = resolver(intranet=["10.0.0.1"])
    for url, allow in [("http://intranet:8080/", ["Intranet"]), ("http://intranet:9000/", ["intranet:9000"])]:
        network = Network()
        await GuardedClient(allow, resolve=names, network=network).get(url)
        assert network.dialled[0][0] == "10.0.0.1"
    for url in ["http://intranet:9001/", "http://sub.intranet:9000/", "http://intranet.:9000/", "http://10.0.0.1/"]:
        await refused(url, Network(), resolve=names, allow=["intranet:9000"])


async def test_a_post_whose_answer_is_lost_is_not_to_be_repeated():
    network = Network(b"")
    with pytest.raises(ToolError) as raised:
        await GuardedClient(resolve=resolver(a_example=[PUBLIC]), network=network).post("http://a.example/", b"{}", {})
    assert (raised.value.code, raised.value.retryable) == ("outcome_unknown", False)


async def posted(answer: bytes, **limits):
    network = Network(answer)
    client = GuardedClient(resolve=resolver(a_example=[PUBLIC]), network=network, **limits)
    return await client.post("http://a.example/", b"{}", {})


@pytest.mark.parametrize("status", [302, 303, 500, 502, 503, 504])
async def test_a_post_to_a_server_that_fails_or_sends_elsewhere_may_have_been_carried_out(status):
    with pytest.raises(ToolError) as raised:
        await posted(f"HTTP/1.1 {status} No\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".encode())
    assert (raised.value.code, raised.value.retryable) == ("outcome_unknown", False)
    assert str(status) in str(raised.value)


@pytest.mark.parametrize(("status", "retryable"), [(301, False), (308, False), (400, False), (408, True), (429, True)])
async def test_a_post_that_was_refused_has_not_been_carried_out(status, retryable):
    with pytest.raises(ToolError) as raised:
        await posted(f"HTTP/1.1 {status} No\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".encode())
    assert (raised.value.code, raised.value.retryable) == ("http_error", retryable)


@pytest.mark.parametrize("head", ["Content-Length: 100", "Content-Length: 3\r\nContent-Encoding: br"])
async def test_a_post_counts_as_made_for_any_failure_after_the_status(head):
    answer = await posted(f"HTTP/1.1 201 Made\r\n{head}\r\n\r\nabc".encode(), max_bytes=10)
    assert answer.status == 201


async def test_the_environments_proxy_plays_no_part(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    network = Network()
    await GuardedClient(resolve=resolver(a_example=[PUBLIC]), network=network).get("http://a.example/")
    assert network.dialled == [(PUBLIC, 80)]
