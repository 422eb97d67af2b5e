"""Sizes of contexts and counts of tokens: by a real tokenizer where the settings name one, else estimated."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.trainers import BpeTrainer

from services.cli.checks.models import check_models
from shared.config import Settings
from shared.config.environment import settings_of
from shared.errors import Misconfigured
from shared.llm import ModelRole
from shared.llm.endpoints import chains_of
from shared.llm.tokens import Estimate, FileTokenizer
from shared.llm.window import window_of

TEXT = "the depot of Ulm keeps twelve pumps"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A tokenizer trained here; its file asks to cut texts after two tokens, and to fill them up to fifty."""
    made = Tokenizer(BPE(unk_token="[?]"))
    made.pre_tokenizer = Whitespace()
    made.train_from_iterator([TEXT] * 20, BpeTrainer(special_tokens=["[?]"], vocab_size=300))
    made.enable_truncation(2)
    made.enable_padding(length=50)
    path = tmp_path_factory.mktemp("model") / "tokenizer.json"
    made.save(str(path))
    return path


def chain(role=ModelRole.STRONG, **more):
    given = {"openai_base_url": "http://main:1/v1", "model_strong": "large", "model_cheap": "small"} | more
    return chains_of(Settings(**given))[role]


def test_a_tokenizer_counts_whole_texts_although_its_file_asks_to_cut_them(tokenizer):
    counter = FileTokenizer(tokenizer)
    assert counter.count(TEXT) == len(TEXT.split())
    assert counter.count(TEXT * 100) > 100
    assert not counter.estimated


def test_an_estimate_counts_other_alphabets_as_more():
    count = Estimate().count
    assert count("word " * 80) == 100
    assert 100 <= count("东" * 100) <= 150
    assert count("") == 0
    assert Estimate().estimated


def test_a_context_is_that_of_the_file_the_variable_or_the_default(tmp_path):
    file = tmp_path / "models.toml"
    file.write_text(
        '[roles]\nstrong = ["a", "b"]\ncheap = ["c"]\n'
        '[endpoints.a]\nmodel = "large"\n[endpoints.b]\nmodel = "tiny"\ncontext_window = 4096\n'
        '[endpoints.c]\nmodel = "mid"\n'
    )
    sizes = {"models": file, "model_windows": {"large": 200_000, "tiny": 1}}
    assert window_of(chain(**sizes)).tokens == 4_096
    assert window_of(chain(ModelRole.CHEAP, **sizes)).tokens == 128_000
    assert window_of(chain(model_windows={"large": 32_768})).tokens == 32_768
    assert settings_of({"WAGGLE_MODEL_WINDOWS": "large=32768, small=8192"}, Settings).model_windows["small"] == 8_192


@pytest.mark.parametrize("value", ["large=0", "large=many", "large=1000000000000"])
def test_a_context_that_is_no_size_is_refused(value):
    with pytest.raises(ValueError, match="model_windows"):
        settings_of({"WAGGLE_MODEL_WINDOWS": value}, Settings)


def test_a_role_is_counted_exactly_only_if_all_its_models_share_a_tokenizer(tokenizer, tmp_path):
    file = tmp_path / "models.toml"
    file.write_text('[roles]\nstrong = ["a", "b"]\n[endpoints.a]\nmodel = "large"\n[endpoints.b]\nmodel = "tiny"\n')
    both = {"large": tokenizer, "tiny": tokenizer}
    assert not window_of(chain(models=file, model_tokenizers=both)).counter.estimated
    assert window_of(chain(models=file, model_tokenizers={"large": tokenizer})).counter.estimated


def test_a_file_that_is_missing_or_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(Misconfigured, match="WAGGLE_MODEL_TOKENIZERS"):
        chain(model_tokenizers={"large": tmp_path / "none.json"})
    broken = tmp_path / "tokenizer.json"
    broken.write_text("{}")
    with pytest.raises(Misconfigured, match="no tokenizer"):
        FileTokenizer(broken).check()


async def test_the_doctor_says_how_tokens_are_counted(tokenizer, tmp_path):
    settings = Settings(openai_base_url="http://127.0.0.1:9/v1", model_strong="large", model_cheap="small")
    settings = settings.model_copy(update={"model_tokenizers": {"large": tokenizer}, "model_windows": {"small": 8_192}})
    found = [each.found for each in await check_models(settings, call=False) if each.subject == "context"]
    assert found == [
        "large: 128,000 tokens, counted by its tokenizer",
        "small: 8,192 tokens, estimated: no tokenizer is set for it",
    ]
