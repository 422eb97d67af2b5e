"""Digests by which redone work is recognised as unchanged."""

import hashlib
import json

from schemas.step import Output
from shared.runs.digests import output_digest


def test_an_output_without_data_has_the_digest_of_one_written_before_the_field_existed():
    output = Output(answer="three")
    before = {name: value for name, value in json.loads(output.model_dump_json()).items() if name != "data"}
    before.pop("confidence")
    written = json.dumps(before, separators=(",", ":"))
    assert output_digest(output) == hashlib.sha256(written.encode()).hexdigest()


def test_outputs_with_different_data_have_different_digests():
    assert output_digest(Output(answer="three", data={"n": 3})) != output_digest(Output(answer="three", data={"n": 4}))
    assert output_digest(Output(answer="three", confidence=0.1)) == output_digest(Output(answer="three", confidence=1))
