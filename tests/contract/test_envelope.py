"""CloudEvents attributes survive the headers, and wrong headers are named."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import Envelope, InvalidEnvelope, from_headers, to_headers

LEAST = {"ce_specversion": "1.0", "ce_id": "t1", "ce_source": "/shop", "ce_type": "waggle.task.v1"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

envelopes = st.builds(
    Envelope,
    id=st.from_regex(r"[\x21-\x7e]{1,255}", fullmatch=True),
    source=st.text(min_size=1),
    type=st.text(min_size=1),
    subject=st.none() | st.text(),
    time=st.none() | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])),
    tenant=st.none() | st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True),
    causationid=st.none() | st.text(),
    attempt=st.integers(min_value=1, max_value=10_000),
    traceparent=st.none() | st.just(TRACE),
    tracestate=st.none() | st.text(),
)


@given(envelopes)
def test_an_envelope_comes_out_of_its_headers_as_it_went_in(envelope):
    headers = to_headers(envelope)
    assert from_headers(headers) == envelope
    assert from_headers({name.upper(): value.encode() for name, value in headers.items()}) == envelope


def test_attributes_get_the_names_of_the_kafka_binding_and_the_trace_keeps_its_own():
    envelope = Envelope(
        id="t1",
        source="/shop",
        type="waggle.task.v1",
        subject="run-1",
        time=datetime(2026, 11, 20, tzinfo=UTC),
        tenant="shop",
        causationid="t0",
        attempt=2,
        traceparent=TRACE,
        tracestate="a=b",
    )
    assert to_headers(envelope) == {
        "ce_specversion": "1.0",
        "ce_id": "t1",
        "ce_source": "/shop",
        "ce_type": "waggle.task.v1",
        "ce_subject": "run-1",
        "ce_time": "2026-11-20T00:00:00+00:00",
        "content-type": "application/json",
        "ce_tenant": "shop",
        "ce_causationid": "t0",
        "ce_attempt": "2",
        "traceparent": TRACE,
        "tracestate": "a=b",
    }


def test_an_unknown_attribute_has_no_header():
    headers = to_headers(Envelope(id="t1", source="/shop", type="waggle.task.v1"))
    assert headers.keys() == {*LEAST, "content-type", "ce_attempt"}


def test_four_headers_are_enough_and_foreign_ones_do_no_harm():
    envelope = from_headers({**LEAST, "ce_partitionkey": "x", "kafka_foo": b"\xff\xfe"})
    assert (envelope.id, envelope.attempt, envelope.time) == ("t1", 1, None)


@pytest.mark.parametrize("name", LEAST)
@pytest.mark.parametrize("gone", [None, "", b""])
def test_a_required_header_that_is_missing_or_empty_is_named(name, gone):
    headers = {key: value for key, value in LEAST.items() if key != name}
    if gone is not None:
        headers[name] = gone
    with pytest.raises(InvalidEnvelope, match=f"`{name}` is missing"):
        from_headers(headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_specversion", "0.3"),
        ("ce_specversion", "2.0"),
        ("ce_specversion", "1"),
        ("ce_id", "two words"),
        ("ce_id", b"\xff"),
        ("ce_id", "x" * 256),
        ("ce_time", "yesterday"),
        ("ce_time", "2026-11-20T12:00:00"),
        ("ce_attempt", "0"),
        ("ce_attempt", "many"),
        ("ce_tenant", "Not A Slug"),
        ("content-type", "text/plain"),
        ("content-type", "application/avro"),
        ("content-type", "application/cloudevents+json; charset=UTF-8"),
        ("content-type", ""),
    ],
)
def test_a_header_with_a_value_that_cannot_be_is_named(name, value):
    with pytest.raises(InvalidEnvelope, match=f"`{name}`"):
        from_headers({**LEAST, name: value})


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.shop.task+json"]
)
def test_json_is_taken_under_any_of_its_names(media_type):
    assert from_headers({**LEAST, "Content-Type": media_type}).datacontenttype == media_type


def test_a_later_minor_version_of_cloudevents_is_taken():
    assert from_headers({**LEAST, "ce_specversion": "1.1"}).specversion == "1.1"
