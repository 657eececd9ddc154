"""pre_request and post_request: what is called around each call of the application.

How it works: `around` makes an application that calls the one hook and then the real application,
and returns what that returns, so that a list is still a list and a file is sent as one. The other
hook is called by the dispatcher when it is through with the exchange, the iterable's close()
included, in whichever thread or greenlet that was. The request waits for it in its environ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastwsgi.observe.access_log import Finished
from fastwsgi.observe.faces import Request, Response
from fastwsgi.observe.logs import Log

Application = Callable[..., Any]
Hook = Callable[..., object]

# PEP 3333 leaves names with a server's own prefix to it.
REQUEST: Final = "fastwsgi.request"


class RequestHooks:
    """The hooks of one worker; either may be None.

    They are called as `before(worker, request)` and `after(worker, request, environ, response)`.
    What `before` raises is the application's failure; what `after` raises is logged to `log`.
    """

    def __init__(self, worker: object, before: Hook | None, after: Hook | None, log: Log) -> None:
        self._worker = worker
        self._before = before
        self._after = after
        self._log = log

    def around(self, app: Application) -> Application:
        """Return `app` with what goes before it."""
        worker, before = self._worker, self._before

        def hooked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            request = environ[REQUEST] = Request(environ)
            if before is not None:
                before(worker, request)
            return app(environ, start_response)

        return hooked

    def answered(self, exchange: Finished) -> None:
        """Keep the response of `exchange`, which is out; soon nobody will know it any more."""
        request = exchange.environ.get(REQUEST)
        if request is not None:
            request.response = Response(exchange)

    def over(self, exchange: Finished, environ: dict[str, Any]) -> None:
        """Call what goes after the application. `environ` is the one the application was given.

        A response that broke off before it was answered is read from `exchange`.
        """
        request = environ.pop(REQUEST, None)
        if request is None or self._after is None:
            return
        response = vars(request).pop("response", None) or Response(exchange)
        try:
            self._after(self._worker, request, environ, response)
        except BaseException:
            self._log.exception("Exception in post_request hook")
