"""Run the simulated model: `python -m infra.simulated_model --port N`."""

import argparse
from pathlib import Path

import uvicorn

from infra.simulated_model.scenarios import read_folder
from infra.simulated_model.server import create_app


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="simulated_model", description="A simulated model with readable rules.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--scenarios", type=Path, help="folder of .toml and .json scenario files")
    parser.add_argument("--allow-control", action="store_true", help="let POST and DELETE /scenarios change them")
    chosen = parser.parse_args()
    scenarios = read_folder(chosen.scenarios) if chosen.scenarios else []
    app = create_app(scenarios, allow_control=chosen.allow_control)
    uvicorn.run(
        app, host=chosen.host, port=chosen.port, log_level="warning", access_log=False, timeout_graceful_shutdown=1
    )


if __name__ == "__main__":
    main()
