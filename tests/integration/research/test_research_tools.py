"""The research agent's tools on real folders and a loopback web server."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from schemas.task import Artefact
from services.research import documents
from services.research.index import index_of, passages
from services.research.settings import ResearchSettings
from services.research.tools import fetch_page, read_document, search_documents
from shared.tools import ToolContext, ToolError


class Files:
    """A workspace that is a folder."""

    def __init__(self, folder):
        self.folder = folder

    def files(self):
        paths = [path for path in sorted(self.folder.iterdir()) if path.is_file()]
        return [Artefact(name=p.name, media_type="text/plain", size=p.stat().st_size, uri="blob:0") for p in paths]

    async def path(self, name):
        if not (self.folder / name).is_file():
            raise ToolError("unknown_file", name)
        return self.folder / name

    async def save(self, name, content, media_type):
        raise AssertionError("research saves nothing")


@pytest.fixture
def house(tmp_path):
    folder = tmp_path / "house"
    (folder / "runbooks").mkdir(parents=True)
    (folder / "leave.md").write_text("# Leave policy\n\nEverybody has 27 days of paid leave a year.\n")
    (folder / "runbooks" / "db.txt").write_text("Restart the database after ticket INC-2041. Leave the cache alone.\n")
    (folder / "menu.rst").write_text("Soup on Mondays, and crème brûlée.\n")
    (folder / "photo.jpg").write_bytes(b"\xff\xd8 leave")
    return folder


@pytest.fixture
def call(tmp_path, house):
    (tmp_path / "own").mkdir()
    return calling(tmp_path / "own", documents=(house,))


def calling(folder, tenant="default", **configured):
    return ToolContext(
        run_id="r", step_id="s", call_id="c", idempotency_key="k", epoch=1, tenant=tenant,
        workspace=Files(folder), settings=ResearchSettings(**configured),
    )  # fmt: skip


async def search(call, query, **more):
    return await search_documents.invoke({"query": query, **more}, call)


async def refused(tool, arguments, call):
    with pytest.raises(ToolError) as raised:
        await tool.invoke(arguments, call)
    return raised.value


def pdf(text):
    writer = PdfWriter()
    page = writer.add_blank_page(300, 300)
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    font = DictionaryObject({NameObject(key): NameObject(value) for key, value in font.items()})
    fonts = DictionaryObject({NameObject("/F1"): font})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    content = DecodedStreamObject()
    content.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
    page[NameObject("/Contents")] = writer._add_object(content)
    writer.add_metadata({"/Title": "Travel rules"})
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


async def test_the_document_that_answers_comes_first_with_title_and_excerpt(call):
    hits = await search(call, "How many days of paid leave are there?")
    assert (hits[0]["document"], hits[0]["title"]) == ("leave.md", "Leave policy")
    assert "27 days" in hits[0]["excerpt"]
    assert [hit["document"] for hit in hits] == ["leave.md", "runbooks/db.txt"]
    assert hits[0]["note"] is None


async def test_codes_accents_and_word_endings_are_found_and_absent_words_are_not(call):
    assert [hit["document"] for hit in await search(call, "INC-2041")] == ["runbooks/db.txt"]
    assert await search(call, "INC-2042") == []
    assert [hit["document"] for hit in await search(call, "creme brulee")] == ["menu.rst"]
    assert [hit["document"] for hit in await search(call, "policies")] == ["leave.md"]
    assert await search(call, "zeppelin") == []


async def test_limit_bounds_the_hits(call):
    assert len(await search(call, "leave", limit=1)) == 1
    assert (await refused(search_documents, {"query": "leave", "limit": 21}, call)).code == "invalid_arguments"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.one_of(st.text(min_size=1, max_size=60), st.sampled_from(['"', "NEAR(a b)", "a AND", "x* OR ^y", "t:z"]))
)
def test_a_query_is_always_text_and_never_syntax(house, query):
    index_of((house,)).search(query, 5, [])


async def test_changed_new_and_deleted_files_are_noticed(call, house):
    await search(call, "leave")
    (house / "leave.md").write_text("# Leave policy\n\nNow there are thirty.\n")
    (house / "new.md").write_text("A zeppelin.\n")
    (house / "menu.rst").unlink()
    assert await search(call, "paid") == []
    assert [hit["document"] for hit in await search(call, "thirty zeppelin")] != []
    assert [hit["document"] for hit in await search(call, "zeppelin")] == ["new.md"]
    assert await search(call, "soup") == []


async def test_files_of_the_task_are_searched_and_read_and_forgotten_with_it(call, house, tmp_path):
    (tmp_path / "own" / "offer.txt").write_text("The zeppelin costs 900.")
    assert [hit["document"] for hit in await search(call, "zeppelin")] == ["offer.txt"]
    assert (await read_document.invoke({"document": "offer.txt"}, call))["text"] == "The zeppelin costs 900."
    (tmp_path / "other").mkdir()
    other = calling(tmp_path / "other", documents=(house,))
    assert await search(other, "zeppelin") == []
    assert (await refused(read_document, {"document": "offer.txt"}, other)).code == "unknown_document"


async def test_pdfs_are_searched_and_read_with_their_pages(call, house):
    (house / "travel.pdf").write_bytes(pdf("Flights need approval"))
    hit = (await search(call, "flights"))[0]
    assert (hit["document"], hit["title"]) == ("travel.pdf", "Travel rules")
    assert (await read_document.invoke({"document": "travel.pdf"}, call))["text"] == "[page 1]\nFlights need approval"


async def test_documents_that_could_not_be_searched_are_reported(call, house, monkeypatch):
    (house / "broken.pdf").write_bytes(b"%PDF-1.7 nonsense")
    monkeypatch.setattr(documents, "MAX_FILE_BYTES", 1_000)
    (house / "huge.txt").write_text("leave " * 1_000)
    note = (await search(call, "leave"))[0]["note"]
    assert "broken.pdf" in note
    assert "huge.txt is larger than" in note
    error = await refused(search_documents, {"query": "zeppelin"}, call)
    assert error.code == "incomplete_search"
    assert "huge.txt" in str(error)


async def test_without_any_document_the_search_says_so(tmp_path):
    error = await refused(search_documents, {"query": "leave"}, calling(tmp_path))
    assert (error.code, "WAGGLE_DOCUMENTS" in str(error)) == ("no_documents", True)


async def test_a_document_is_read_part_by_part_without_loss(call, house):
    whole = "".join(f"Line {number}: ä\n" for number in range(2_000))
    (house / "long.txt").write_text(whole)
    parts, offset = [], 0
    while offset is not None:
        part = await read_document.invoke({"document": "long.txt", "offset": offset, "limit": 7_000}, call)
        assert part["total_characters"] == len(whole)
        parts.append(part["text"])
        offset = part["next_offset"]
    assert len(parts) > 2
    assert "".join(parts) == whole


async def test_a_hit_deep_in_a_document_leads_to_its_place(call, house):
    (house / "long.txt").write_text(
        "Filler text.\n\n" * 1_000 + "The zeppelin is here.\n\n" + "More filler.\n\n" * 1_000
    )
    hit = (await search(call, "zeppelin"))[0]
    part = await read_document.invoke({"document": "long.txt", "offset": hit["offset"], "limit": 2_000}, call)
    assert "The zeppelin is here." in part["text"]


@given(st.text(alphabet="ab \n#", max_size=6_000))
def test_passages_are_the_whole_text_in_order(text):
    parts = list(passages(text))
    assert "".join(part for _, part in parts) == text
    assert all(text[start:].startswith(part) for start, part in parts)


@pytest.mark.parametrize(
    "name", ["../secret.txt", "/etc/passwd", "runbooks/../../secret.txt", "link.txt", "up/secret.txt", ".env"]
)
async def test_nothing_outside_the_folders_can_be_read(call, house, tmp_path, name):
    (tmp_path / "secret.txt").write_text("zeppelin")
    (house / ".env").write_text("zeppelin")
    (house / "link.txt").symlink_to(tmp_path / "secret.txt")
    (house / "up").symlink_to(tmp_path)
    error = await refused(read_document, {"document": name}, call)
    assert error.code == "unknown_document"
    error = await refused(search_documents, {"query": "zeppelin"}, call)
    assert (error.code, "link.txt is a link out" in str(error)) == ("incomplete_search", True)


async def test_a_link_within_the_folder_is_read_as_mounted_config_maps_need(call, house):
    (house / "..data").mkdir()
    (house / "..data" / "a.md").write_text("zeppelin")
    (house / "a.md").symlink_to(house / "..data" / "a.md")
    assert [hit["document"] for hit in await search(call, "zeppelin")] == ["a.md"]


async def test_an_unknown_document_names_those_near_it(call):
    error = await refused(read_document, {"document": "leaves.md"}, call)
    assert "leave.md" in str(error)


async def test_several_folders_are_told_apart_by_their_names(tmp_path, house):
    (tmp_path / "second").mkdir()
    (tmp_path / "own").mkdir()
    (tmp_path / "second" / "leave.md").write_text("Leave, second.")
    call = calling(tmp_path / "own", documents=(house, tmp_path / "second"))
    names = {hit["document"] for hit in await search(call, "leave")}
    assert {"house/leave.md", "second/leave.md"} <= names
    assert (await read_document.invoke({"document": "second/leave.md"}, call))["text"] == "Leave, second."


PAGES = {
    "/page": (
        "text/html; charset=utf-8",
        "<html><head><title>Bees</title></head><body><nav>Home</nav><script>evil()</script><article><p>"
        + "A forager tells the swarm where the flowers are. " * 8
        + "</p></article></body></html>",
    ),
    "/text": ("text/plain", "plain words"),
    "/json": ("application/json", '{"answer": 42}'),
    "/binary": ("image/png", "png"),
}


@pytest.fixture
def web():
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", "http://" + self.path.removeprefix("/to/"))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            media_type, text = PAGES.get(self.path, ("application/pdf", ""))
            content = text.encode() if text else pdf("Flights need approval")
            self.send_response(200)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


async def test_pages_are_fetched_as_readable_text_from_an_allowed_host(tmp_path, web):
    call = calling(tmp_path, fetch_allow=(web,))
    page = await fetch_page.invoke({"url": f"http://{web}/page"}, call)
    assert page["title"] == "Bees"
    assert "where the flowers are" in page["text"]
    assert "evil" not in page["text"]
    assert (await fetch_page.invoke({"url": f"http://{web}/text"}, call))["text"] == "plain words"
    assert (await fetch_page.invoke({"url": f"http://{web}/json"}, call))["text"] == '{"answer": 42}'
    assert "Flights need approval" in (await fetch_page.invoke({"url": f"http://{web}/pdf"}, call))["text"]
    part = await fetch_page.invoke({"url": f"http://{web}/text", "offset": 6, "limit": 3}, call)
    assert (part["text"], part["next_offset"]) == ("wor", 9)
    assert (await refused(fetch_page, {"url": f"http://{web}/binary"}, call)).code == "unsupported_content"


async def test_a_loopback_page_that_is_not_on_the_allow_list_is_refused(tmp_path, web):
    assert (await refused(fetch_page, {"url": f"http://{web}/page"}, calling(tmp_path))).code == "refused_address"


@pytest.mark.parametrize("target", ["169.254.169.254/latest/meta-data/", "10.0.0.1/", "localhost/"])
async def test_an_allowed_host_cannot_redirect_to_the_inside(tmp_path, web, target):
    call = calling(tmp_path, fetch_allow=(web,))
    assert (await refused(fetch_page, {"url": f"http://{web}/to/{target}"}, call)).code == "refused_address"
