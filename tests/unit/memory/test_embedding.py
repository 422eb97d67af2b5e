"""Vectors of texts by a local model or by an endpoint."""

import sys
from types import SimpleNamespace

import pytest

from shared.errors import Misconfigured
from shared.memory.embedder import check_folder, embedder_of
from shared.memory.embedding import LocalEmbedder, RemoteEmbedder


def test_a_folder_without_a_model_is_refused_with_what_it_lacks(tmp_path):
    (tmp_path / "model.onnx").touch()
    with pytest.raises(Misconfigured, match=r"has no tokenizer\.json"):
        LocalEmbedder(tmp_path)


def test_without_the_extra_the_error_says_what_to_install(tmp_path, monkeypatch):
    for name in ("model.onnx", "tokenizer.json"):
        (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(Misconfigured, match="waggle\\[memory\\]"):
        LocalEmbedder(tmp_path)


async def test_an_endpoint_is_named_by_its_model_and_gets_texts_in_batches():
    asked = []

    async def call(texts):
        asked.append(len(texts))
        return SimpleNamespace(vectors=[[float(len(text))] for text in texts])

    embedder = RemoteEmbedder("small", call)
    assert embedder.name == "endpoint:small"
    assert await embedder.embed(["x" * n for n in range(1, 151)]) == [[float(n)] for n in range(1, 151)]
    assert asked == [64, 64, 22]


async def nothing(texts):
    raise AssertionError("no request is made")


def test_without_folder_and_endpoint_there_is_no_embedder_and_an_endpoint_is_used_where_it_is_set():
    check_folder(None)
    assert embedder_of(None, "", nothing) is None
    assert embedder_of(None, "small", nothing).name == "endpoint:small"


def test_a_folder_is_used_rather_than_an_endpoint_and_its_error_names_the_variable(tmp_path):
    with pytest.raises(Misconfigured, match=r"WAGGLE_MEMORY_MODEL: .* has no model\.onnx and no tokenizer\.json"):
        embedder_of(tmp_path, "small", nothing)


def test_a_file_that_is_no_model_is_refused(tmp_path, monkeypatch):
    for name in ("model.onnx", "tokenizer.json"):
        (tmp_path / name).write_text("garbage")

    def refuse(*_):
        raise ValueError("the protobuf\ncannot be parsed")

    fake = SimpleNamespace(SessionOptions=SimpleNamespace, InferenceSession=refuse)
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    monkeypatch.setitem(sys.modules, "tokenizers", SimpleNamespace(Tokenizer=None))
    with pytest.raises(Misconfigured, match=r"WAGGLE_MEMORY_MODEL: .* cannot be loaded: the protobuf cannot be parsed"):
        check_folder(tmp_path)
