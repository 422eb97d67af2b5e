"""Texts as vectors: by a local model in a folder, or by any function such as `Models.embed`."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from shared.errors import Misconfigured

LONGEST_TOKENS = 256
"""Tokens of a text that count; all-MiniLM-L6-v2 was trained on no more."""
_BATCH = 32
_REQUEST = 64
"""Texts of one request to an endpoint; some accept no more."""
_NEEDED = ("model.onnx", "tokenizer.json")


class Embedder(Protocol):
    """Maker of vectors. `name` names the model and changes with it: vectors of different models never meet."""

    name: str

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector for each text."""


class LocalEmbedder:
    """A sentence model as ONNX file with its tokenizer, both in one folder; needs the extra `memory`."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        """Load the model. Raises Misconfigured if the folder or the extra is incomplete."""
        if missing := [name for name in _NEEDED if not (folder / name).is_file()]:
            raise Misconfigured(f"the folder of the embedding model has no {' and no '.join(missing)}")
        try:
            import onnxruntime  # noqa: PLC0415 -- an extra
            from tokenizers import Tokenizer  # noqa: PLC0415 -- an extra
        except ImportError:
            raise Misconfigured("a local embedding model needs: pip install waggle[memory]") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(folder / "model.onnx", options, ["CPUExecutionProvider"])
        self._inputs = {each.name for each in self._session.get_inputs()}
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(LONGEST_TOKENS)
        self._tokenizer.enable_padding()
        digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()[:12]
        self.name = f"local:{digest}"

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector of length 1 for each text, computed in a thread."""
        return await asyncio.to_thread(self._embed, texts)

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        vectors: list[list[float]] = [[]] * len(texts)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            for at, vector in zip(batch, self._batch([texts[at] for at in batch]), strict=True):
                vectors[at] = vector
        return vectors

    def _batch(self, texts: list[str]) -> Any:
        """Return the mean of the tokens' vectors, as sentence transformers do."""
        import numpy as np  # noqa: PLC0415 -- comes with the extra

        read = self._tokenizer.encode_batch([text.encode(errors="replace").decode() for text in texts])
        mask = np.array([each.attention_mask for each in read], dtype=np.int64)
        ids = np.array([each.ids for each in read], dtype=np.int64)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(None, {name: each for name, each in given.items() if name in self._inputs})[0]
        mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return (mean / np.linalg.norm(mean, axis=1, keepdims=True)).tolist()


class Made(Protocol):
    """Reply of an endpoint."""

    @property
    def vectors(self) -> Sequence[Sequence[float]]:
        """One vector for each text."""


class RemoteEmbedder:
    """An OpenAI-compatible endpoint, through a function such as `Models.embed`."""

    def __init__(self, model: str, call: Callable[[Sequence[str]], Awaitable[Made]]) -> None:
        self.name = f"endpoint:{model}"
        self._call = call

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector for each text. Raises as the function does."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), _REQUEST):
            made = await self._call(texts[start : start + _REQUEST])
            vectors += [list(each) for each in made.vectors]
        return vectors
