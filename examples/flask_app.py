"""A small Flask application: pages, a form with a session, JSON, upload, streaming.

Start it with `fastwsgi flask_app:app` and open http://127.0.0.1:8000/ in a browser.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from flask import (
    Flask,
    Response,
    redirect,
    render_template_string,
    request,
    session,
    stream_with_context,
    url_for,
)
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage

app = Flask(__name__)
# Every worker must sign with the same key. A real site sets its own and keeps it secret.
app.secret_key = os.environ.get("FLASK_SECRET_KEY", "for demonstration only")
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024 * 1024

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Flask on FastWSGI</title>
<h1>Hello, {{ name or "stranger" }}!</h1>
<p>Pages opened in this session: <b id="visits">{{ visits }}</b></p>
<form method="post" action="{{ url_for('greet') }}">
  <input name="name" placeholder="Your name" value="{{ name }}" maxlength="80">
  <button>Say hello</button>
</form>
<form method="post" action="{{ url_for('upload') }}" enctype="multipart/form-data">
  <input type="file" name="file"> <button>Upload</button>
</form>
<p><a href="{{ url_for('count') }}">A stream</a></p>
<p id="server">asking the server…</p>
<script>
fetch("{{ url_for('about') }}").then(answer => answer.json()).then(about => {
  document.getElementById("server").textContent = "Served by " + about.server;
});
</script>
</html>
"""


@app.get("/")
def index() -> str:
    session["visits"] = session.get("visits", 0) + 1
    name = session.get("name", "")
    return render_template_string(PAGE, name=name, visits=session["visits"])


@app.post("/greet")
def greet() -> ResponseReturnValue:
    session["name"] = request.form["name"][:80]
    return redirect(url_for("index"))


@app.get("/api/about")
def about() -> dict[str, str]:
    return {
        "server": request.environ["SERVER_SOFTWARE"],
        "protocol": request.environ["SERVER_PROTOCOL"],
    }


@app.post("/api/sum")
def add() -> ResponseReturnValue:
    numbers = request.get_json().get("numbers")
    if not isinstance(numbers, list) or not all(isinstance(n, int | float) for n in numbers):
        return {"error": "numbers is a list of numbers"}, 400
    return {"sum": sum(numbers)}


@app.post("/upload")
def upload() -> dict[str, object]:
    sent: FileStorage = request.files["file"]
    digest, size = hashlib.sha256(), 0
    while block := sent.stream.read(65536):
        digest.update(block)
        size += len(block)
    return {"name": sent.filename, "bytes": size, "sha256": digest.hexdigest()}


@app.get("/count")
def count() -> Response:
    def lines() -> Iterator[str]:
        for number in range(1, 101):
            yield f"{number}\n"

    return Response(stream_with_context(lines()), mimetype="text/plain")
