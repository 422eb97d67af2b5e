"""The embedder of a process, by its settings: a local model, an endpoint, or none."""

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from pathlib import Path

from shared.errors import Misconfigured
from shared.memory.embedding import Embedder, LocalEmbedder, Made, RemoteEmbedder

VARIABLE = "WAGGLE_MEMORY_MODEL"


def embedder_of(folder: Path | None, model: str, call: Callable[[Sequence[str]], Awaitable[Made]]) -> Embedder | None:
    """Return the embedder of `WAGGLE_MEMORY_MODEL`, else that of the endpoint's model; None: full text alone.

    `model`, `call`: as `Models.embedding_model` and `Models.embed`. Raises Misconfigured as `local_embedder`.
    """
    if folder is not None:
        return local_embedder(folder)
    return RemoteEmbedder(model, call) if model else None


@lru_cache(maxsize=1)
def local_embedder(folder: Path) -> LocalEmbedder:
    """Return the model in the folder, loaded once in a process. Raises Misconfigured if it cannot be used."""
    try:
        return LocalEmbedder(folder)
    except Misconfigured as why:
        raise Misconfigured(f"{VARIABLE}: {why}") from None
    except Exception as why:  # noqa: BLE001 -- of the extra's own types, which cannot be named without it
        what = " ".join(str(why).split())[:200]
        raise Misconfigured(f"{VARIABLE}: the model in the folder cannot be loaded: {what}") from None


def check_folder(folder: Path | None) -> None:
    """Raise Misconfigured if a folder is set and has no model that works."""
    if folder is not None:
        local_embedder(folder)
