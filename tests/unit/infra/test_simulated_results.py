"""Results of the simulated model in an agent's own type."""

import jsonschema

from infra.simulated_model.fitting import filled, named_in

SCHEMA = {
    "type": "object",
    "properties": {
        "language": {"enum": ["de", "fr"]},
        "text": {"type": "string"},
        "note": {"type": "string"},
        "confidence": {"type": "number", "minimum": 0.1},
        "words": {"$ref": "#/$defs/Count"},
    },
    "required": ["language", "text", "note", "confidence", "words"],
    "additionalProperties": False,
    "$defs": {"Count": {"type": "integer", "minimum": 1}},
}


def test_a_result_has_known_fields_the_named_option_and_the_text_once_and_fits_the_schema():
    found = filled(SCHEMA, {"confidence": 0.5, "caveats": []}, text="Rappel", objective="Translate 'reminder' to fr.")
    assert found == {"language": "fr", "text": "Rappel", "note": "simulated", "confidence": 0.5, "words": 1}
    jsonschema.validate(found, SCHEMA)


def test_an_option_is_named_as_a_word_only():
    assert named_in("Translate 'reminder' to FR", ["de", "fr"]) == "fr"
    assert named_in("Translate 'reminder'", ["de", "fr"]) is None
