"""A looser content security policy where third-party pages carry inline code: unfold's admin, Swagger UI."""

from csp.constants import UNSAFE_EVAL, UNSAFE_INLINE
from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

LOOSE = ("/admin/", "/api/docs/")


class LooserPolicyMiddleware(MiddlewareMixin):
    """Stands below csp's own middleware, which writes the header."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.path_info.startswith(LOOSE):
            scripts = [UNSAFE_INLINE, UNSAFE_EVAL]  # Alpine.js evaluates its attributes
            response._csp_update = {"script-src": scripts, "style-src": [UNSAFE_INLINE]}  # type: ignore[attr-defined]
        return response
