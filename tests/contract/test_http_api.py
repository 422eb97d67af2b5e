"""The HTTP API is defined in `schemas` alone, and every error of the gateway suggests an action."""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

import schemas
from services.gateway.dead_letters import ACTION
from services.gateway.routes import ROUTERS

ROOT = Path(__file__).parents[2]
OF_LIBRARIES = {"HTTPValidationError", "ValidationError", "JsonValue"}


def described():
    """The API as the gateway publishes it."""
    api = FastAPI(generate_unique_id_function=lambda route: route.name)
    for router in ROUTERS:
        api.include_router(router)
    return api.openapi()


def names_in_schemas():
    """Every model and enumeration defined in the package `schemas`."""
    found = pkgutil.walk_packages(schemas.__path__, "schemas.")
    modules = [importlib.import_module(each.name) for each in found if not each.name.endswith("__main__")]
    return {name for module in modules for name, each in vars(module).items() if isinstance(each, type)}


def test_every_body_and_answer_is_a_model_of_the_schemas():
    assert set(described()["components"]["schemas"]) - OF_LIBRARIES <= names_in_schemas()


def test_no_answer_is_untyped_json():
    untyped = [
        f"{method} {path}"
        for path, methods in described()["paths"].items()
        for method, operation in methods.items()
        for status, answer in operation["responses"].items()
        if status.startswith("2") and answer.get("content", {}).get("application/json") == {"schema": {}}
    ]
    assert not untyped


@pytest.mark.parametrize("module", ["services.cli.api.client", "services.cli.show.dead_letters"])
def test_the_command_line_defines_no_answer_of_its_own(module):
    own = [
        name
        for name, each in vars(importlib.import_module(module)).items()
        if isinstance(each, type) and issubclass(each, BaseModel) and each.__module__ == module
    ]
    assert not own


def raised_errors():
    """The places in the gateway that make an error, with the names of their arguments."""
    for path in sorted((ROOT / "services" / "gateway").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REMEDY:
                yield f"{path.name}:{node.lineno}", node.func.id, {each.arg for each in node.keywords}


REMEDY = {"Refused": "action", "ErrorInfo": "suggested_action"}


def test_every_error_of_the_gateway_suggests_an_action():
    found = list(raised_errors())
    assert len(found) > 20
    assert [place for place, kind, given in found if REMEDY[kind] not in given] == []


def test_every_error_about_a_dead_letter_has_an_action():
    sources = (ROOT / "shared" / "bus" / "dead").glob("*.py")
    codes = {
        each.value.value
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for each in node.keywords
        if each.arg == "code" and isinstance(each.value, ast.Constant)
    }
    assert codes
    assert codes <= set(ACTION)
