"""Interactive documentation, with script and style from a package: it works without the internet."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from core.errors import NotFound

router = APIRouter(include_in_schema=False)

ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """Swagger UI over /openapi.json."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=f"{request.app.title} API",
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="data:,",
    )


@router.get("/docs/{name}")
def asset(name: str) -> FileResponse:
    """The two files that Swagger UI is made of."""
    if name not in ASSETS:
        raise NotFound
    file = Path(str(files("fastapi_swagger").joinpath("resources", name)))
    return FileResponse(file, media_type=ASSETS[name], headers={"Cache-Control": "max-age=86400"})
