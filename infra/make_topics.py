"""`python -m infra.make_topics`: creates the declared topics on the Kafka that `WAGGLE_KAFKA` names."""

import asyncio
import sys

from infra.topics import create, declared
from shared.settings import Settings


def main() -> None:
    """Create what does not exist, and say what was created."""
    settings = Settings()
    try:
        made = asyncio.run(create(settings.kafka, settings.topic_prefix, declared()))
    except ConnectionError as away:
        sys.exit(str(away))
    print(f"created {len(made)} topics: {', '.join(sorted(made)) or 'they were all there'}")


if __name__ == "__main__":
    main()
