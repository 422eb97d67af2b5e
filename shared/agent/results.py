"""Results of an agent's own type: a pydantic model that a handler returns travels as findings with `data`."""

import json
from functools import cache
from typing import Any

from pydantic import BaseModel

from schemas.step import Findings, Output


def as_findings(returned: Any, own: type[BaseModel] | None) -> Any:
    """Return an instance of the agent's own result type as an output; anything else as it is.

    `data` is the whole model as JSON. Fields with the name and type of one of `Findings` fill that one, too. Without
    an `answer` the JSON is the answer.
    """
    if own is None or not isinstance(returned, own):
        return returned
    data = returned.model_dump(mode="json")
    text = json.dumps(data, indent=2, ensure_ascii=False)
    fields = {"answer": f"```json\n{text}\n```"} | {name: getattr(returned, name) for name in _shared_fields(own)}
    return Output.model_validate(fields | {"data": data})


@cache
def _shared_fields(own: type[BaseModel]) -> tuple[str, ...]:
    mine = own.model_fields
    shared = (name for name in Findings.model_fields if name in mine)
    return tuple(name for name in shared if mine[name].annotation == Findings.model_fields[name].annotation)
