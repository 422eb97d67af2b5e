"""Pages and PDFs built to keep a reader busy: each ends within its limits, while the event loop keeps running."""

import asyncio
import io
import os
import time
import zlib
from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, StreamObject

from services.research.documents import document, text_of
from services.research.fetching import readable
from services.research.text import decoded, known_charset
from shared.tools import ToolError
from shared.tools.reading import Readers, ReadingLimits
from shared.tools.web.addresses import joined, parse_url
from shared.tools.web.client import Fetched

PATHS = f"{Path(__file__).parents[3]}{os.pathsep}{Path(__file__).parent}"
"""Path on which a reading process finds the code, and the functions of this test."""
HTML = b"<html><body>"
PAGES = {
    "brackets": b"<" * 4_000_000,
    "brackets, 400 KB": b"<" * 400_000,
    "brackets, 40 KB": b"<" * 40_000,
    "one word": HTML + b"a" * 4_000_000,
    "spaces": HTML + b" " * 4_000_000 + b"x",
    "nested": HTML + b"<div>" * 400_000,
    "tables": HTML + b"<table><tr><td>" * 100_000,
    "lists": HTML + b"<ul><li>" * 100_000,
    "links": HTML + b"<a href='/x'>some text here</a> " * 100_000,
    "attributes": HTML + b"<p " + b" ".join(b"a%d=1" % n for n in range(200_000)) + b">x",
    "entities": HTML + b"&amp;" * 800_000,
    "comments": HTML + b"<!--" * 500_000,
    "scripts": HTML + b"<script>" * 300_000,
    "bold": HTML + b"<b><i>" * 100_000 + b"x",
    "paragraphs": HTML + b"<p>word word</p>" * 250_000,
    "dates": HTML + b"2024-01-01 " * 350_000,
    "nothing": b"\0" * 3_000_000,
}


def bomb() -> bytes:
    """A PDF of 300 KB whose page is 300 MB."""
    writer = PdfWriter()
    page = writer.add_blank_page(300, 300)
    stream = StreamObject()
    stream._data = zlib.compress(b"(x) Tj " * 43_000_000, 9)
    stream[NameObject("/Filter")] = NameObject("/FlateDecode")
    page[NameObject("/Contents")] = writer._add_object(stream)
    page[NameObject("/Resources")] = DictionaryObject()
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


class Heart:
    """Counts how often the event loop turns while something is waited for."""

    def __init__(self):
        self.beats = 0

    async def __aenter__(self):
        self._task = asyncio.create_task(self._beat())
        self._begun = time.monotonic()
        return self

    async def _beat(self):
        while True:
            await asyncio.sleep(0.01)
            self.beats += 1

    async def __aexit__(self, *error):
        self._task.cancel()
        self.seconds = time.monotonic() - self._begun

    @property
    def goes_on(self):
        """At least a tenth of the beats that an idle machine would give; a loop that is held gives one or two."""
        return self.beats >= self.seconds * 10 - 3


async def read(media_type, charset, body):
    """The text, or the code of the refusal; the event loop must have turned all the time."""
    async with Heart() as heart:
        try:
            text = (await readable(Fetched("http://h/x", 200, media_type, charset, body))).text
        except ToolError as refused:
            text = refused.code
    assert heart.goes_on
    assert heart.seconds < 60
    return text


@pytest.mark.parametrize("kind", PAGES)
async def test_a_hostile_page_holds_nothing_up(kind):
    assert len(await read("text/html", None, PAGES[kind])) < 1_000_000


@pytest.mark.parametrize("charset", ["punycode", "idna", "zip_codec", "unicode_escape", "utf-7", "rot13", "x\ud800"])
@pytest.mark.parametrize("media_type", ["text/html", "text/plain"])
async def test_a_charset_that_is_none_is_never_used(media_type, charset):
    body = b"<html><body><article><p>" + b"a-\xc3 plain words " * 20_000 + b"</p></article>"
    assert "plain words" in await read(media_type, charset, body)
    assert known_charset(charset) is None


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("utf-8", "grün"),
        ("ISO-8859-1", "grün"),
        ("iso-8859-15", "€"),
        ("windows-1251", "Привет"),
        ("koi8-r", "Привет"),
        ("Shift_JIS", "こんにちは"),
        ("gb2312", "你好"),
        ("gb18030", "你好"),
        ("big5", "你好"),
        ("euc-kr", "안녕"),
        ("utf-16", "grün"),
    ],
)
def test_charsets_in_which_people_write_are_read(charset, text):
    assert decoded(text.encode(charset), charset) == text


async def test_a_pdf_that_grows_when_it_is_read_is_given_up():
    assert await read("application/pdf", None, bomb()) in ("too_costly", "unreadable_document")
    assert await read("application/pdf", None, b"%PDF-1.7\n" + b"1 0 obj\n<<" * 300_000) in (
        "too_costly",
        "unreadable_document",
    )


async def test_a_pdf_in_a_folder_is_read_apart_too(tmp_path):
    (tmp_path / "bomb.pdf").write_bytes(bomb())
    async with Heart() as heart:
        with pytest.raises(ToolError):
            await asyncio.to_thread(text_of, document("bomb.pdf", tmp_path / "bomb.pdf", "pdf"))
    assert heart.goes_on


async def test_a_pipe_in_the_place_of_a_document_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    known = document("a.txt", tmp_path / "a.txt", "text")
    (tmp_path / "a.txt").unlink()
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(ToolError, match="cannot be opened"):
        text_of(known)


@pytest.fixture(scope="module")
def readers():
    made = Readers("tests.support.busy_reader", ReadingLimits(cpu=1.0, seconds=3.0, memory=64 * 2**20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shared.tools.reading._ROOT", PATHS)
        made.read_blocking("same", b"warm", "it", {})
    yield made
    made.close()


@pytest.mark.parametrize("function", ["spin", "sleep", "grow", "backtrack", "crash"])
async def test_each_limit_ends_a_reader_and_the_next_one_works(readers, function):
    async with Heart() as heart:
        with pytest.raises(ToolError) as refused:
            await readers.read(function, b"", "it", {})
    assert refused.value.code == "too_costly"
    assert heart.goes_on
    assert heart.seconds < 30
    assert await readers.read("same", "grün".encode(), "it", {}) == "grün"


async def test_a_reader_sees_nothing_of_the_environment(readers, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "OPENAI_API_KEY" not in await readers.read("environment", b"", "it", {})


async def test_a_reader_that_ended_is_started_again(readers, monkeypatch):
    monkeypatch.setattr("shared.tools.reading._ROOT", PATHS)
    readers._parent.kill()
    readers._parent.wait()
    assert await readers.read("same", b"x", "it", {}) == "x"


async def test_an_exception_of_a_parser_is_a_structured_error(readers):
    with pytest.raises(ToolError) as refused:
        await readers.read("fail", b"", "it", {})
    assert refused.value.code == "unreadable"
    with pytest.raises(ToolError) as refused:
        await readers.read("refuse", b"", "it", {})
    assert (refused.value.code, refused.value.suggested_action) == ("mine", "do this")


@pytest.mark.parametrize(
    "url", ["http://xn--a.example/", "http://xn--zzzzzz-.com", "http://h/\ud800", "http://\u2488.com"]
)
def test_an_address_that_no_name_can_be_is_refused(url):
    with pytest.raises(ToolError) as refused:
        parse_url(url)
    assert refused.value.code == "refused_address"
    with pytest.raises(ToolError):
        parse_url(str(joined(parse_url("http://h/"), url)))
