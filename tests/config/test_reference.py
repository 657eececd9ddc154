"""The page of settings says what the rows say."""

from pathlib import Path

from fastwsgi.config.reference import reference
from fastwsgi.config.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), "run `make docs`"


def test_every_setting_is_on_the_page() -> None:
    page = reference()
    assert all(f"| `{name}` |" in page for name in Settings.ROWS)
