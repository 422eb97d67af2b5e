"""The tenant a record counts for."""

from types import SimpleNamespace

import pytest

from shared.bus.shares import tenant_of


def raw(value: bytes, tenant: str | None = None):
    headers = [("ce_tenant", tenant.encode())] if tenant else []
    return SimpleNamespace(value=value, headers=headers)


def test_inside_the_header_says_whose_it_is():
    assert tenant_of(raw(b'{"tenant": "evil"}', "acme"), outside=False, longest=1_000) == "acme"
    assert tenant_of(raw(b"{}"), outside=False, longest=1_000) == ""


@pytest.mark.parametrize(
    ("value", "tenant"),
    [
        (b'{"objective": "x", "tenant": "acme"}', "acme"),
        (b'{"context": {"tenant": "made-up"}, "tenant": "acme"}', "acme"),
        (b'{"context": {"tenant": "made-up"}}', ""),
        (b'{"tenant": 7}', ""),
        (b'["tenant"]', ""),
        (b"not JSON", ""),
        (b"\xff\xfe", ""),
        (b"", ""),
        (None, ""),
    ],
)
def test_outside_only_the_payload_says_whose_it_is(value, tenant):
    assert tenant_of(raw(value, "header-lies"), outside=True, longest=1_000) == tenant


def test_a_payload_that_will_be_refused_for_its_size_is_not_parsed():
    assert tenant_of(raw(b'{"tenant": "acme", "x": "' + b"x" * 200 + b'"}'), outside=True, longest=100) == ""
