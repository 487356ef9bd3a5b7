"""The page: files that were read when the application was made, under a policy that lets nothing else run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

PAGE = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    tag: str


def add_page(app: FastAPI, folder: Path = PAGE) -> None:
    """Have an application serve the files of a folder: index.html at /, the others at /page/NAME.

    They are read now, so nothing outside is ever reached. Of a folder without index.html nothing is served.
    """
    files = _read(folder)
    if "index.html" not in files:
        return

    async def index(request: Request) -> Response:
        return _answer(files["index.html"], request)

    async def other(request: Request, path: str) -> Response:
        if path not in files:
            raise HTTPException(404, "The page has no such part.")
        return _answer(files[path], request)

    methods = ["GET", "HEAD"]
    app.add_api_route("/", index, methods=methods, include_in_schema=False, response_class=Response)
    app.add_api_route("/page/{path:path}", other, methods=methods, include_in_schema=False, response_class=Response)


def _read(folder: Path) -> dict[str, _File]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in _TYPES:
            content = path.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            found[path.relative_to(folder).as_posix()] = _File(content, _TYPES[path.suffix], tag)
    return found


def _answer(file: _File, request: Request) -> Response:
    headers = {**_HEADERS, "etag": file.tag}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
