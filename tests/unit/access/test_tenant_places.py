"""Folders and databases by tenant: whose each place is, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.data.settings import DataSettings
from services.research.settings import ResearchSettings
from shared.access.tenants.places import databases_of, folders_of, is_tenant
from shared.config import settings_of


@pytest.fixture
def folders(tmp_path):
    """Folders of two tenants, and one that is shared."""
    for name in ("acme", "beta", "shared", "house"):
        (tmp_path / "all" / name).mkdir(parents=True)
    return tmp_path / "all"


def research(documents):
    return settings_of({"WAGGLE_DOCUMENTS": documents}, ResearchSettings)


def test_a_folder_is_for_its_tenant_and_one_without_an_owner_for_the_default_tenant(folders):
    settings = research(f"{folders}/house,acme={folders}/acme,*={folders}/shared")
    assert settings.folders("default") == (folders / "house", folders / "shared")
    assert settings.folders("acme") == (folders / "acme", folders / "shared")
    assert settings.folders("beta") == (folders / "shared",)


def test_each_tenant_has_its_own_folder_by_a_placeholder_and_none_if_it_does_not_exist(folders):
    settings = research(f"{folders}/{{tenant}}")
    assert settings.folders("acme") == (folders / "acme",)
    assert settings.folders("gamma") == ()


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../acme", "acme/../beta", "/etc", "ACME", "a\x00", "a b", "*", "{tenant}"]
)
def test_a_name_that_no_tenant_can_have_reaches_no_folder(folders, name):
    assert folders_of([f"{folders}/{{tenant}}", f"*={folders}/shared"], name) == ()
    assert databases_of({"shop": f"{folders}/{{tenant}}.duckdb", "*/own": "/x.duckdb"}, name) == {}


@given(st.text(max_size=80))
def test_a_tenant_s_name_is_one_component_of_a_path(name):
    if is_tenant(name):
        assert "/" not in name
        assert name not in (".", "..", "")


def test_no_link_is_followed_below_the_placeholder(folders, tmp_path):
    (folders / "gamma").symlink_to(folders / "acme")
    (folders / "delta").mkdir()
    (folders / "delta" / "docs").symlink_to(folders / "acme")
    assert folders_of([f"{folders}/{{tenant}}"], "gamma") == ()
    assert folders_of([f"{folders}/{{tenant}}/docs"], "delta") == ()
    (tmp_path / "mount").symlink_to(folders)
    assert folders_of([f"{tmp_path}/mount/{{tenant}}"], "acme") == (folders / "acme",), "above it mounts may be links"
    (folders / "acme.duckdb").write_text("")
    (folders / "gamma.duckdb").symlink_to(folders / "acme.duckdb")
    databases = {"shop": f"{folders}/{{tenant}}.duckdb"}
    assert databases_of(databases, "acme") == {"shop": f"{folders}/acme.duckdb"}
    assert databases_of(databases, "gamma") == {}


@pytest.mark.parametrize(
    ("documents", "why"),
    [
        ("/docs,/docs/{tenant}", "`/docs` holds `/docs/{tenant}`, which is for one tenant each"),
        ("*=/docs,acme=/docs/acme", "`/docs` holds `/docs/acme`, which is for tenant `acme`"),
        ("beta=/docs/x/..,acme=/docs/acme", "which is for tenant `acme`"),
        ("/docs/{tenant},acme=/docs/secret", "`/docs/{tenant}` holds `/docs/secret`"),
        ("Acme=/docs", "`Acme` is no tenant"),
        ("/docs/{tennant}", "there is no placeholder `{tennant}`"),
    ],
)
def test_a_start_with_folders_that_expose_a_tenant_is_refused(documents, why):
    with pytest.raises(ValueError, match=r".") as refused:
        research(documents)
    assert why in str(refused.value)


def test_folders_that_are_apart_or_shared_are_accepted():
    research("/docs/{tenant},*=/docs/common,acme=/docs/acme,/house,acme=/house-of-acme")


def test_a_database_is_for_its_tenant_and_its_own_one_comes_before_a_shared_one():
    given = "shop=postgresql://d/shop,acme/shop=postgresql://a/shop,*/rates=/rates.duckdb,own=postgresql://db/{tenant}"
    settings = settings_of({"WAGGLE_DATABASES": given}, DataSettings)
    shared = {"rates": "/rates.duckdb"}
    assert settings.databases_of("default") == shared | {
        "shop": "postgresql://d/shop",
        "own": "postgresql://db/default",
    }
    assert settings.databases_of("acme") == shared | {"shop": "postgresql://a/shop", "own": "postgresql://db/acme"}
    assert settings.databases_of("beta") == shared | {"own": "postgresql://db/beta"}
    assert databases_of({"*/a": "/all", "acme/a": "/own"}, "acme") == {"a": "/own"}


def test_a_message_about_databases_shows_no_password():
    with pytest.raises(ValueError, match="`Acme` is no tenant") as refused:
        settings_of({"WAGGLE_DATABASES": "Acme/shop=postgresql://u:se{cret@h/x"}, DataSettings)
    assert "cret" not in str(refused.value)
    settings_of({"WAGGLE_DATABASES": "shop=postgresql://u:se{cret@h/x"}, DataSettings)
