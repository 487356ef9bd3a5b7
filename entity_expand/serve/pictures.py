"""`GET /v1/pictures/{path}`: pictures of the corpus, and nothing else that lies in its folder."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from starlette.exceptions import HTTPException

from entity_expand.errors import ImageError
from entity_expand.files import read_capped
from entity_expand.inputs.image import media_type_of, shrunk
from entity_expand.serve.http import NOT_FOUND, PROBLEMS, Described, Served
from entity_expand.serve.service import Service
from entity_expand.stores.base import Evidence

router = APIRouter(prefix="/v1", tags=["entities"])

_HEADERS = {
    "cache-control": "private, max-age=3600",
    "content-security-policy": "default-src 'none'; sandbox",
    "content-disposition": "inline",
}
_CONTENT: Described = {
    200: {"description": "The picture.", "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get(
    "/pictures/{path:path}",
    summary="A picture",
    response_class=Response,
    responses={**_CONTENT, **PROBLEMS, **NOT_FOUND},
)
async def picture(
    service: Served,
    path: Annotated[str, Path(max_length=4_096)],
    side: Annotated[int | None, Query(ge=16, le=2_048, description="Shrink it to so many pixels a side.")] = None,
) -> Response:
    """Return a picture by its path in the corpus. Its type is what its first bytes say."""
    content, media_type = await service.work(lambda _: _read(service, path, side))
    return Response(content, media_type=media_type, headers=_HEADERS)


def _read(service: Service, path: str, side: int | None) -> tuple[bytes, str]:
    file = service.expander.picture([Evidence("", (), path)])
    try:
        if file is None or not file.is_file():
            raise ImageError("It is missing.")
        content, most = read_capped(file, service.settings.picture_bytes, ImageError), service.settings.picture_pixels
        media_type = media_type_of(content, max_pixels=most)
        small = None if side is None else shrunk(content, side, most)
        return (content, media_type) if small is None else (small, "image/jpeg")
    except (ImageError, OSError):
        raise HTTPException(404, "There is no picture under this path that could be shown.") from None
