"""Check that every address, by default this container's /ready, answers GET with 200: `python -m infra.ready [URL …]`.

It is a container's health check, run every few seconds: its imports must be fast.
"""

import os
import sys
from http.client import HTTPException
from urllib.request import OpenerDirector, ProxyHandler, build_opener

TIMEOUT = 6.0
"""Seconds: /ready asks Kafka and Redis, which may take up to five."""


def failing(urls: list[str]) -> list[str]:
    """Return the problems, one line per address."""
    direct = build_opener(ProxyHandler({}))
    return [f"{url}: {problem}" for url in urls if (problem := _problem(direct, url))]


def _problem(direct: OpenerDirector, url: str) -> str:
    try:
        with direct.open(url, timeout=TIMEOUT) as answer:
            return "" if answer.status == 200 else f"status {answer.status}"
    except (OSError, HTTPException) as failed:
        return str(failed)


def main() -> None:
    """Exit with 0 if all answer, else with 1 and a line per failure."""
    here = f"http://127.0.0.1:{os.environ.get('WAGGLE_HTTP_PORT', '8080')}/ready"
    if problems := failing(sys.argv[1:] or [here]):
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
