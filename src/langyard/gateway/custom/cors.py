"""Whose pages may call: `http.cors` of langgraph.json over the settings over what lets every page do everything."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from langyard.gateway.parts import Parts
from langyard.model.errors import ConfigurationError

_EXPOSED = (
    "Content-Location",
    "Idempotent-Replayed",
    "Location",
    "Retry-After",
    "X-Pagination-Next",
    "X-Pagination-Total",
)


def cors(parts: Parts) -> Middleware | None:
    """None where nobody's pages may. Raises ConfigurationError where anybody's may with somebody's cookies."""
    settings, section = parts.settings.gateway, parts.http.cors
    origins, credentials, regex = settings.cors_origins, settings.cors_credentials, None
    methods: tuple[str, ...] = ("*",)
    headers: tuple[str, ...] = ("*",)
    exposed: tuple[str, ...] = _EXPOSED
    age = 600
    if section is not None:
        regex = section.allow_origin_regex
        if section.allow_credentials is not None:
            credentials = section.allow_credentials
        if section.allow_origins is not None:
            origins = section.allow_origins
        elif not origins and regex is None and not credentials:
            origins = ("*",)
        methods = section.allow_methods or methods
        headers = section.allow_headers or headers
        known = {name.lower() for name in _EXPOSED}
        exposed = (*_EXPOSED, *(name for name in section.expose_headers if name.lower() not in known))
        age = section.max_age
    if not origins and regex is None:
        return None
    if credentials and "*" in origins:
        raise ConfigurationError(
            "Credentials are allowed to every origin (*): every web page a signed-in user opens could then act with "
            "that user's rights; name the origins, or leave credentials off."
        )
    return Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=list(methods),
        allow_headers=list(headers),
        allow_credentials=credentials,
        allow_origin_regex=regex,
        expose_headers=exposed,
        max_age=age,
    )
