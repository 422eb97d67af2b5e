"""The processes of docker-compose.yml, from what its image holds, with its environment, against real servers here."""

import re
import subprocess
from email import message_from_bytes, policy
from urllib.parse import urlsplit

import pytest

from infra.compose import tools
from infra.compose.__main__ import CACHE, ROOT
from infra.compose.reading import read
from infra.compose.swarm import Swarm
from infra.demo import sample
from tests.conftest import started

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
async def servers(kafka, tmp_path_factory):
    async with started(tmp_path_factory.mktemp("compose"), {"WAGGLE_KAFKA": kafka}, services=[]) as stack:
        yield stack


@pytest.fixture(scope="module")
async def swarm(servers, tmp_path_factory):
    found = servers.endpoints
    here = {
        "kafka:9092": found["WAGGLE_KAFKA"],
        "redis:6379": urlsplit(found["WAGGLE_REDIS"]).netloc,
        "postgres:5432": found["WAGGLE_POSTGRES"],
        "mail:1025": urlsplit(found["WAGGLE_SMTP"]).netloc,
    }
    built = tools.image(ROOT, CACHE)
    async with Swarm(read(ROOT), built, tmp_path_factory.mktemp("volumes"), here) as swarm:
        yield swarm


async def test_the_demo_task_ends_right_with_runbooks_out_of_the_volume(swarm, servers):
    folder = swarm.place("/demo", "gateway")
    truth = sample.generate(folder.parent / "again")
    said = waggle(swarm, "submit", "--attach", folder / "orders.csv", sample.TASK)
    assert said.returncode == 0, said.stdout + said.stderr
    for fact in (truth.value, truth.error_code, truth.remedy):
        assert fact in re.sub(r"\s+", " ", said.stdout)
    mails = [message_from_bytes(p.read_bytes(), policy=policy.default) for p in servers.state.mailbox.glob("*.eml")]
    assert [mail["To"] for mail in mails] == ["oncall@example.com"]


async def test_every_health_check_of_ours_is_answered(swarm):
    for name in swarm._lasting():
        asked = swarm.health(name)
        assert asked.returncode == 0, f"{name}: {asked.stderr}"


def waggle(swarm, *words):
    environment = swarm._environment("gateway") | {"WAGGLE_GATEWAY": swarm.gateway}
    return subprocess.run(
        [swarm._built / "bin" / "waggle", *map(str, words)],
        env=environment,
        cwd=swarm._folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
