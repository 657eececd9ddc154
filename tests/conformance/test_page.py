"""docs/conformance.md is in step with the corpus: its rows, its titles, and a column of ours without a blemish."""

from tests.conformance.page import PAGE, Row, titles, write
from tests.wire.corpus import load_cases

NUMBERS = {str(number) for number in range(1, 144)}

Columns = dict[str, tuple[str, dict[Row, str]]]


def read(page: str) -> Columns:
    """The columns that a page was written with; one of a server that was not there has no cells."""
    columns: Columns = {}
    names: list[str] = []
    section = ""
    for line in page.splitlines():
        cells = line[2:-2].split(" | ") if line.startswith("| ") else []
        if line.startswith("## "):
            first = line.removeprefix("## ").partition(".")[0]
            section = first if len(first) == 1 else "others"
        elif cells[:2] == ["server", "version"]:
            section = "summary"
        elif cells[1:2] == ["about"]:
            names = cells[2:]
        elif not section or not cells or cells[0].startswith("---"):
            continue
        elif section == "summary":
            columns[cells[0]] = cells[1], {}
        else:
            for name, cell in zip(names, cells[2:], strict=True):
                columns[name][1][section, cells[0].strip() or cells[1]] = cell
    return {
        name: (version, {} if set(cells.values()) == {"-"} else cells)
        for name, (version, cells) in columns.items()
    }


def test_the_page_is_what_make_conformance_would_write() -> None:
    page = PAGE.read_text("utf-8")
    assert write(read(page), load_cases()) == page, "run make conformance"


def test_every_number_has_its_row() -> None:
    rows = titles(load_cases())
    assert {number for _, number in rows if number.isdigit()} == NUMBERS


def test_ours_passes_everywhere() -> None:
    version, cells = read(PAGE.read_text("utf-8"))["fastwsgi"]
    assert version
    assert cells.keys() == titles(load_cases()).keys()
    assert set(cells.values()) == {"pass"}
