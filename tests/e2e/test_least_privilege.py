"""Each service starts, and is ready, with the secrets it is entrusted with and no others."""

import asyncio
import os
import sys
from uuid import uuid4

import pytest

from infra import topics as declared_topics
from infra.embedded.child import Child
from infra.embedded.stack import REPOSITORY
from infra.entrusted import SECRETS, entrusted
from infra.probe import answers, free_port
from tests.support.signers import Signers

NOWHERE = {
    "WAGGLE_REDIS": "redis://127.0.0.1:9/0",
    "WAGGLE_POSTGRES": "postgresql://waggle@127.0.0.1:9/waggle",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
}
"""Addresses of a service that is given none: nothing listens there."""


@pytest.mark.parametrize("service", ["gateway", "orchestrator", "timekeeper", "communication"])
async def test_a_service_is_ready_with_what_it_is_entrusted_with(service, parts, sentinel, kafka, tmp_path):
    signers, port = Signers(tmp_path), free_port()
    there = {name: parts[name] for name in ("WAGGLE_REDIS", "WAGGLE_POSTGRES", "WAGGLE_SMTP")}
    there |= {"WAGGLE_KEYS": str(signers.file), "WAGGLE_SIGNING_KEY": signers.secret, "OPENAI_API_KEY": "x"}
    prefix = f"t{uuid4().hex[:8]}."
    await declared_topics.create(kafka, prefix, declared_topics.declared())
    own = {name: value for name, value in there.items() if name in entrusted(service)}
    bare = {name: value for name, value in os.environ.items() if name not in SECRETS}
    given = {"WAGGLE_KAFKA": kafka, "WAGGLE_TOPIC_PREFIX": prefix, "WAGGLE_HTTP_PORT": str(port)}
    child = Child(
        service,
        [sys.executable, "-m", f"services.{service}"],
        environment=bare | NOWHERE | given | own,
        log=tmp_path / "log",
        ready=lambda: answers(f"http://127.0.0.1:{port}/ready"),
        report=lambda name, line: None,
        cwd=REPOSITORY,
    )
    child.start(lambda: None)
    try:
        async with asyncio.timeout(100):
            await child.await_ready()
    finally:
        await child.stop(10)
    assert set(own) == entrusted(service) - {"WAGGLE_MODEL_KEYS"}
