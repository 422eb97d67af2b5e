"""Documents of one tenant are out of reach of another: by name, path, link, search and cache."""

import pytest

from services.research.documents import document, text_of
from services.research.settings import ResearchSettings
from services.research.tools import read_document, search_documents
from shared.tools import ToolContext, ToolError
from tests.support.workspaces import FolderWorkspace


@pytest.fixture
def place(tmp_path):
    """Two tenants with a document of the same name each, and a shared one."""
    for tenant in ("acme", "beta"):
        (tmp_path / tenant).mkdir()
        (tmp_path / tenant / "plan.md").write_text(f"# Plan\n\nThe zeppelin of {tenant} leaves on Monday.\n")
    (tmp_path / "beta" / "secret.md").write_text("The submarine is yellow.\n")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "rules.md").write_text("No zeppelin on Sundays.\n")
    return tmp_path


@pytest.fixture
def call(place):
    """A call of a task of a tenant."""
    settings = ResearchSettings(documents=(f"{place}/{{tenant}}",))

    def of(tenant, **changed):
        files = FolderWorkspace(place / f"step of {tenant} {len(list(place.iterdir()))}")
        given = {"run_id": "r", "step_id": "s", "call_id": "c", "idempotency_key": "k", "epoch": 1}
        return ToolContext(**given, tenant=tenant, workspace=files, settings=changed.get("settings", settings))

    return of


async def search(call, query):
    return [hit["document"] for hit in await search_documents.invoke({"query": query}, call)]


async def refused(tool, arguments, call):
    with pytest.raises(ToolError) as error:
        await tool.invoke(arguments, call)
    return error.value


async def test_the_same_name_is_each_tenant_s_own_document_before_and_after_the_other_was_read(call):
    for tenant in ("acme", "beta", "acme", "beta"):
        text = await read_document.invoke({"document": "plan.md"}, call(tenant))
        assert f"The zeppelin of {tenant} leaves" in text["text"]
        [hit] = await search_documents.invoke({"query": "zeppelin"}, call(tenant))
        assert tenant in hit["excerpt"]


NAMES = (
    "secret.md",
    "../beta/secret.md",
    "beta/secret.md",
    "./../beta/secret.md",
    "{place}/beta/secret.md",
    "..",
    "%2e%2e/beta/secret.md",
    "link.md",
    "folder/secret.md",
    "inner/secret.md",
)


@pytest.mark.parametrize("name", NAMES)
async def test_a_document_of_another_tenant_is_unknown_by_any_name(call, place, name):
    (place / "acme" / "link.md").symlink_to(place / "beta" / "secret.md")
    (place / "acme" / "folder").symlink_to(place / "beta")
    (place / "acme" / "inner").symlink_to("../beta")
    error = await refused(read_document, {"document": name.replace("{place}", str(place))}, call("acme"))
    assert error.code == "unknown_document"
    assert "submarine" not in str(error)
    error = await refused(search_documents, {"query": "submarine"}, call("acme"))
    assert (error.code, "link.md is a link out of its folder" in str(error)) == ("incomplete_search", True)


async def test_a_tenant_without_a_folder_has_no_documents_and_names_no_other_tenant(call, place):
    (place / "gamma").symlink_to(place / "beta")
    for tenant in ("gamma", "nobody", "default"):
        error = await refused(search_documents, {"query": "zeppelin"}, call(tenant))
        assert (error.code, f"no folder of tenant `{tenant}`" in str(error)) == ("no_documents", True)
        error = await refused(read_document, {"document": "plan.md"}, call(tenant))
        assert (error.code, "beta" in str(error)) == ("unknown_document", False)


async def test_a_shared_folder_is_searched_together_with_the_tenant_s_own(call, place):
    settings = ResearchSettings(documents=(f"{place}/{{tenant}}", f"*={place}/shared"))
    assert {*await search(call("acme", settings=settings), "zeppelin")} == {"acme/plan.md", "shared/rules.md"}
    assert await search(call("nobody", settings=settings), "zeppelin") == ["rules.md"]


async def test_a_folder_that_is_replaced_by_a_link_while_it_is_read_is_not_followed(place):
    (place / "acme" / "sub").mkdir()
    (place / "acme" / "sub" / "secret.md").write_text("mine")
    listed = document("sub/secret.md", place / "acme" / "sub" / "secret.md", "text")
    assert text_of(listed).text == "mine"
    (place / "acme" / "sub").rename(place / "acme" / "old")
    (place / "acme" / "sub").symlink_to(place / "beta")
    swapped = document("sub/secret.md", place / "acme" / "sub" / "secret.md", "text")
    with pytest.raises(ToolError, match="cannot be opened"):
        text_of(swapped)
