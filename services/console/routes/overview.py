"""The overview: health, counts and what needs a person."""

from fastapi import APIRouter
from starlette.responses import Response

from services.console.overview import overview_of
from services.console.pages import page
from services.console.visitor import VisitorDep

router = APIRouter()


@router.get("/")
async def show_overview(visitor: VisitorDep) -> Response:
    """Everything that a visitor's roles permit; a part that they do not permit says so."""
    return page(visitor, "overview.html", **await overview_of(visitor.gateway))
