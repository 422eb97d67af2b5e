"""The gateway's metrics, where they have no port of their own."""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from prometheus_client.exposition import choose_encoder

from services.gateway.dependencies import PartsDep

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def show_metrics(parts: PartsDep, accept: Annotated[str, Header()] = "") -> Response:
    """The metrics in the Prometheus text format."""
    encode, media_type = choose_encoder(accept)
    return Response(encode(parts.registry), headers={"Content-Type": media_type})
