"""Programs that the simulated code agent can write. Plain Python without imports, so that every sandbox runs them."""

from typing import Any

READER = '''\
def cells(line):
    """The cells of one CSV line; quotes around a cell and doubled quotes inside it are undone."""
    if '"' not in line:
        return line.split(",")
    found, cell, quoted = [], "", False
    for index, sign in enumerate(line):
        if sign == '"':
            if not quoted and index and line[index - 1] == '"':
                cell += '"'
            quoted = not quoted
        elif sign == "," and not quoted:
            found.append(cell)
            cell = ""
        else:
            cell += sign
    found.append(cell)
    return found


def table(path):
    """The header and the rows of a CSV file, each row a list of texts."""
    with open(path) as file:
        lines = [line for line in file.read().splitlines() if line]
    return cells(lines[0]), [cells(line) for line in lines[1:]]
'''

INCIDENT = '''\
WINDOW = ({start!r}, {end!r})


def figures(path):
    """Rows in all, rows of the window that are concerned, how many of them failed, how many with the code."""
    header, rows = table(path)
    moment, outcome = header.index({time!r}), header.index({outcome!r})
    dimension, code = {dimension}, {code}
    inside = failed = affected = 0
    for row in rows:
        at = (row[moment].replace("T", " ") + " 00:00:00")[:19]
        if not (WINDOW[0] <= at <= WINDOW[1]):
            continue
        if dimension is not None and row[dimension] != {value!r}:
            continue
        inside += 1
        if {failed}:
            failed += 1
            if code is None or row[code] == {error!r}:
                affected += 1
    return {{"total_rows": len(rows), "rows_in_window": inside, "failed_rows": failed, "affected_rows": affected}}
'''

SUM = '''\
def figures(path):
    """How many rows there are, and the sum of every column that holds numbers only."""
    header, rows = table(path)
    found = {"total_rows": len(rows)}
    for index, name in enumerate(header):
        texts = [row[index] for row in rows if index < len(row) and row[index] != ""]
        try:
            numbers = [float(text) for text in texts]
        except ValueError:
            continue
        if numbers:
            found["sum of " + name] = round(sum(numbers), 4)
    return found
'''

FIBONACCI = '''\
def compute(count):
    """The first numbers of Fibonacci's sequence."""
    found, a, b = [], 0, 1
    for _ in range(count):
        found.append(a)
        a, b = b, a + b
    return found
'''

PRIMES = '''\
def compute(most):
    """The primes up to a number, that number included."""
    return [n for n in range(2, most + 1) if all(n % d for d in range(2, int(n**0.5) + 1))]
'''

FACTORIAL = '''\
def compute(number):
    """The product of the whole numbers from one to a number."""
    product = 1
    for factor in range(2, number + 1):
        product *= factor
    return product
'''

WORD_COUNT = '''\
def compute(text):
    """How often each word occurs, upper and lower case alike."""
    counts = {}
    for word in text.lower().split():
        word = word.strip(".,;:!?()[]'\\"")
        if word:
            counts[word] = counts.get(word, 0) + 1
    return counts
'''

KNOWN: dict[str, tuple[str, str]] = {
    "fibonacci": (FIBONACCI, "assert compute(10) == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n    assert compute(0) == []"),
    "prime": (PRIMES, "assert compute(30) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]\n    assert compute(1) == []"),
    "factorial": (FACTORIAL, "assert compute(5) == 120\n    assert compute(0) == 1"),
    "word": (WORD_COUNT, "assert compute('One two. two') == {'one': 1, 'two': 2}\n    assert compute('') == {}"),
}
"""A word of the objective, the program for it, and the assertions of its test."""


def incident(facts: dict[str, Any]) -> str:
    """Return a program that recomputes an incident from the CSV file alone."""
    dimension, detail = facts.get("dimension"), facts.get("detail_column")
    return INCIDENT.format(
        start=str(facts["window_start"])[:19],
        end=str(facts["window_end"])[:19],
        time=facts["time_column"],
        outcome=facts["outcome_column"],
        dimension=f"header.index({dimension!r})" if dimension else None,
        value=facts.get("dimension_value"),
        code=f"header.index({detail!r})" if detail else None,
        error=facts.get("error_code"),
        failed=_failed(facts),
    )


def printing(body: str, call: str) -> str:
    """Return the program with a line for each value it computes."""
    return f"{body}\n\nfor name, value in {call}.items():\n    print(name, '=', value)\n"


def testing(body: str, asserts: str) -> str:
    """Return a test file: the same functions, and their assertions."""
    return f"{body}\n\ndef test_figures():\n    {asserts}\n"


def _failed(facts: dict[str, Any]) -> str:
    """Python: the row failed; or, without failures, that it has a value."""
    if "failed_from" in facts:
        return f"float(row[outcome] or 0) >= {facts['failed_from']}"
    if "failed_values" in facts:
        return f"row[outcome].lower() in {str(facts['failed_values']).lower().split('|')!r}"
    return 'row[outcome] != ""'
