"""Every row of the table is as it says: it holds, or it does not for the reason it gives."""

import pytest

from tests.faults.rows import ROWS
from tests.faults.table import NotRun

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


def marked(row):
    return pytest.param(row, id=row.name, marks=[pytest.mark.quick] if row.quick else [])


@pytest.mark.parametrize("row", [marked(row) for row in ROWS])
async def test_the_row_is_as_the_table_says(row, runner):
    if runner.broker.kind not in row.brokers:
        pytest.skip(f"only on {', '.join(row.brokers)}")
    try:
        outcome = await runner.run(row)
    except NotRun as why:
        pytest.skip(str(why))
    print(outcome.counted)
    reason = row.breaks.get(runner.broker.kind)
    if reason is None:
        assert outcome.problems == [], outcome.counted
    else:
        assert outcome.problems != [], f"it holds; the table says that it does not: {reason}"
