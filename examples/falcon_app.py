"""A small JSON service on Falcon: `fastwsgi falcon_app:app`."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone

import falcon

BLOCK = 65536


class Clock:
    """GET /time"""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = {"now": datetime.now(timezone.utc).isoformat()}


class Greeting:
    """GET /greetings/{name}"""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        if req.get_param_as_bool("shout", default=False):
            name = name.upper()
        resp.media = {"greeting": f"Hello, {name}!"}


class Words:
    """POST /words: counts the words of the JSON document {"text": "…"}"""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        document = req.get_media()
        if not isinstance(document, dict) or not isinstance(document.get("text"), str):
            raise falcon.HTTPBadRequest(description='send {"text": "…"}')
        resp.media = {"words": len(document["text"].split())}


class Digest:
    """PUT /digest: SHA-256 of the body, read in blocks, whatever its size and framing"""

    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        # Chunked bodies have no Content-Length; `wsgi.input` still ends where the body ends.
        terminated = req.env.get("wsgi.input_terminated", False)
        stream = req.stream if terminated else req.bounded_stream
        digest, size = hashlib.sha256(), 0
        while block := stream.read(BLOCK):
            digest.update(block)
            size += len(block)
        resp.media = {"bytes": size, "sha256": digest.hexdigest()}


app = falcon.App()
app.add_route("/time", Clock())
app.add_route("/greetings/{name}", Greeting())
app.add_route("/words", Words())
app.add_route("/digest", Digest())
