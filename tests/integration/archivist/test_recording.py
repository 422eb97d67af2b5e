"""Records of the log become rows, through a broker and a real Postgres."""

from shared.audit import SYSTEM
from shared.audit.verifying import verify
from tests.support.recording import decided, journaled, recording, rows_of, stopped, write
from tests.support.remembering import log, single, until


async def test_every_topic_is_recorded_once_also_when_it_is_read_again(settings, sentinel, writer, record):
    run = single("run-1", tenant="acme")
    calls = {"kind": "tool_call", "name": "send_email", "acting": {"outcome": "made", "effect": "external"}}
    answer = '{"result": {"sent": true}}'
    await log(writer, settings, run)
    await write(
        writer, settings, [journaled("run-1"), journaled("run-1", "think/turn-1/call-1", of=calls, entry=answer)]
    )
    await write(writer, settings, [decided("run-1"), stopped(), stopped("all")])
    expected = {
        ("model_call", "m1"),
        ("tool_call", "send_email"),
        ("command", "human-decided"),
        ("stop", "tenant:acme"),
    }

    async def recorded():
        rows = await rows_of(record)
        return expected <= {(row["kind"], row["name"]) for row in rows} and any(
            row["outcome"] == "COMPLETE" for row in rows
        )

    async with recording(settings, sentinel, record):
        await until(recorded)
        await until(lambda: rows_of(record, SYSTEM))
    before = await rows_of(record)
    assert (await verify(record, "acme")).fault is None
    again = settings.model_copy(update={"session_timeout": 6.0})
    async with recording(again, sentinel, record) as parts:
        await write(writer, settings, [journaled("run-2")])
        await until(lambda: parts.registry.get_sample_value("waggle_audit_rows_total"))
    assert [row["number"] for row in await rows_of(record)] == list(range(1, len(before) + 2))
