"""Sign in to the page with a key or the address that the server prints at start, and sign out."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from stt_lab.accounts.access import COOKIE, SIGN_IN_PATH
from stt_lab.accounts.accounts import SESSION_AGE
from stt_lab.caller import Caller
from stt_lab.door.input_check import decode
from stt_lab.errors import BadInput, Forbidden, Unauthorized
from stt_lab.web.service import Service, body

SIGN_OUT_PATH = "/sign-out"
FORM_LIMIT = 4096  # bytes
HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>stt_lab: sign in</title>
<style>:root{{color-scheme:light dark;background:Canvas;color:CanvasText}}
body{{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:4rem auto;padding:0 1rem}}
label,input,button{{display:block;width:100%;box-sizing:border-box;font:inherit}}
input,button{{padding:.5rem;margin:.5rem 0}}
.error{{color:#b91c1c;color:light-dark(#b91c1c,#fca5a5)}}</style>
<h1>Sign in</h1>{said}<form method="post" action="sign-in"><label for="key">Your key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button></form>
<p><a href="./">The page</a></p><p><a href="./#account">Your account, and sign out</a></p></html>"""


def add_routes(router: APIRouter, service: Service) -> None:
    access = service.access
    service = replace(service, quick="write")

    async def show(request: Request) -> Response:
        token = request.query_params.get("token")
        if token is None:
            return _page("")
        try:
            caller = await service.thread(access.sign_in, token, access.address(request))
        except Unauthorized:
            if (await service.caller(request)).admin:  # opened again, by the browser that it has signed in
                return RedirectResponse("/", status_code=303)
            raise
        return await begun(request, caller)  # redirects, which removes the token from the address bar

    async def enter(request: Request) -> Response:
        refuse_foreign(request)
        raw = b"".join([chunk async for chunk in body(request, FORM_LIMIT)])
        key = _key(decode(raw, "The form"))
        try:
            caller = await service.thread(access.identify_key, key, access.address(request))
        except Unauthorized:
            return _page("This key is not valid. Copy the whole key, or ask the administrator for a new one.", 401)
        return await begun(request, caller)

    async def leave(request: Request) -> Response:
        refuse_foreign(request)
        await service.thread(access.end_session, request)
        answer = RedirectResponse("./", status_code=303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    async def begun(request: Request, caller: Caller) -> Response:
        """Begin a session for the caller and set its cookie."""
        session_id = await service.thread(access.begin_session, caller)
        answer, age = RedirectResponse("/", status_code=303), int(SESSION_AGE.total_seconds())
        secure = access.is_encrypted(request)
        answer.set_cookie(COOKIE, session_id, age, httponly=True, samesite="strict", secure=secure)
        return answer

    def refuse_foreign(request: Request) -> None:
        """Raise Forbidden for another site, which could sign visitors in to an account that is not theirs."""
        if access.is_foreign(request):
            raise Forbidden("Another site sent this form. Open the page of this server and sign in there.")

    router.add_api_route(SIGN_IN_PATH, show, methods=["GET"], include_in_schema=False)
    router.add_api_route(SIGN_IN_PATH, enter, methods=["POST"], include_in_schema=False)
    router.add_api_route(SIGN_OUT_PATH, leave, methods=["POST"], include_in_schema=False)


def _key(form: str) -> str:
    """Return the key in a form. Raises BadInput for one that is not the page's."""
    try:
        fields = parse_qs(form, max_num_fields=1, encoding="utf-8", errors="strict")
    except ValueError:
        raise BadInput("This form is not that of the sign-in page. Send one field, 'key'.") from None
    return fields.get("key", [""])[0].strip()


def _page(said: str, status: int = 200) -> Response:
    shown = f'<p class="error">{escape(said)}</p>' if said else ""
    return HTMLResponse(PAGE.format(said=shown), status, HEADERS)
