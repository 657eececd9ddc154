"""Users of the shop as they come: they log in by its form, browse, sometimes upload or download.

Run by `python -m bench locust`; by hand, in the root of the repository:
`PYTHONPATH=. locust -f bench/locustfile.py -H URL`.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random

from locust import FastHttpUser, between, task

from bench.served.shop import DOWNLOAD, ITEMS, PER_PAGE, STYLE

NUMBERS = itertools.count(1)


class Visitor(FastHttpUser):
    """One person with a session cookie, pausing between pages."""

    wait_time = between(0.02, 0.2)

    def on_start(self) -> None:
        self.name = f"visitor {next(NUMBERS)}"
        self.expect("/login", "/login", b'name="password"')
        form = {"name": self.name, "password": f"secret of {self.name}"}
        with self.client.post("/login", data=form, catch_response=True) as answer:
            if b"<h1>Items</h1>" not in (answer.content or b""):
                answer.failure(f"login leads to {answer.status_code}, not to the list")

    def expect(self, path: str, name: str, content: bytes) -> None:
        """Counts an answer without `content` as a failure."""
        with self.client.get(path, name=name, catch_response=True) as answer:
            if content not in (answer.content or b""):
                answer.failure(f"{answer.status_code} without {content!r}")

    @task(10)
    def list_items(self) -> None:
        page = random.randint(1, len(ITEMS) // PER_PAGE)
        first = (page - 1) * PER_PAGE + 1
        self.expect(f"/items?page={page}", "/items?page=N", b'"/items/%d"' % first)

    @task(20)
    def show_item(self) -> None:
        number = random.choice(list(ITEMS))
        text = f"{self.name}, this is number {number}.".encode()
        self.expect(f"/items/{number}", "/items/N", text)

    @task(10)
    def style(self) -> None:
        self.expect("/static/shop.css", "/static/shop.css", STYLE)

    @task(2)
    def upload(self) -> None:
        data = os.urandom(random.randint(1_000, 200_000))
        with self.client.post("/upload", data=data, catch_response=True) as answer:  # type: ignore[arg-type]
            if answer.content != hashlib.sha256(data).hexdigest().encode():
                answer.failure(f"{answer.status_code}: another content arrived")

    @task(1)
    def download(self) -> None:
        with self.client.get("/download", catch_response=True) as answer:
            if answer.content != DOWNLOAD:
                answer.failure(f"{answer.status_code} with {len(answer.content or b'')} bytes")
