"""The table of commands in docs/access.md is complete, and `waggle keys sign` signs exactly those it marks."""

import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from schemas.registry import TOPICS, message_class
from services.cli.app import app
from shared.access.principals import SIGNED
from tests.support.schema_files import published, validator

PAGE = (Path(__file__).parents[2] / "docs" / "access.md").read_text()
ROWS = re.findall(r"^\| `(waggle\.[\w.-]+)` \| `(\w+)` \| (yes|no) \| `(\{.*\})` \|$", PAGE, re.MULTILINE)


def test_every_command_of_the_two_topics_has_an_example():
    commands = {kind.wire_type() for kind, topic in TOPICS.items() if topic in {"decisions", "control"}}
    assert {kind for kind, *_ in ROWS} == commands


@pytest.mark.parametrize(("kind", "topic", "signed", "payload"), ROWS)
def test_an_example_fits_its_schema_its_topic_and_the_need_of_a_signature(kind, topic, signed, payload):
    validator(published(kind)).validate(json.loads(payload))
    message = message_class(kind)
    assert set(json.loads(payload)) <= set(message.model_fields)
    assert message.read(payload)
    assert (TOPICS[message], message in SIGNED) == (topic, signed == "yes")


@pytest.mark.parametrize(("kind", "topic", "signed", "payload"), ROWS)
def test_the_command_line_signs_the_examples_that_need_it_and_no_other(tmp_path, kind, topic, signed, payload):
    pair = Ed25519PrivateKey.generate()
    key = tmp_path / "ada.pem"
    key.write_bytes(pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    ended = CliRunner().invoke(app, ["keys", "sign", "-", "--key", str(key), "--type", kind], input=payload)
    if signed == "no":
        assert (ended.exit_code, "are not signed" in ended.stderr) == (2, True)
        return
    record = json.loads(ended.stdout)
    assert (record["topic"], record["key"], record["headers"]["ce_type"]) == (topic, "run-1", kind)
    assert record["headers"]["waggle-signer"] == "ada"
    assert message_class(kind).read(record["value"]) == message_class(kind).read(payload)
