"""The logs: gunicorn's line, files that can be renamed, and failures that stop nothing."""

import logging
import os
import re
from pathlib import Path

import pytest

from fastwsgi.errors import ConfigError
from fastwsgi.observe.logger import Logger
from fastwsgi.observe.logs import ERROR, LogFile

from .conftest import Make


@pytest.fixture
def logs(make: Make, tmp_path: Path) -> Logger:
    return make(errorlog=str(tmp_path / "error.log"), accesslog=str(tmp_path / "access.log"))


def file_of(logs: Logger) -> LogFile:
    (handler,) = logs.error_log.handlers
    assert isinstance(handler, logging.StreamHandler)
    assert isinstance(handler.stream, LogFile)
    return handler.stream


def test_the_line_is_gunicorns(logs: Logger, tmp_path: Path) -> None:
    logging.getLogger(ERROR).info("Listening at: %s", "x")
    assert re.fullmatch(
        rf"\[\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{{4}}\] \[{os.getpid()}\] \[INFO\]"
        r" Listening at: x\n",
        (tmp_path / "error.log").read_text(),
    )


def test_what_is_below_the_level_is_not_written(logs: Logger, tmp_path: Path) -> None:
    logging.getLogger(ERROR).debug("quiet")
    assert (tmp_path / "error.log").read_text() == ""


def test_a_renamed_file_is_left_and_a_new_one_begun(logs: Logger, tmp_path: Path) -> None:
    log, fd = logging.getLogger(ERROR), file_of(logs).fileno()
    log.info("one")
    (tmp_path / "error.log").rename(tmp_path / "error.log.1")
    log.info("two")
    logs.reopen_files()
    log.info("three")
    assert file_of(logs).fileno() == fd
    assert [line[-3:] for line in (tmp_path / "error.log.1").read_text().splitlines()] == [
        "one",
        "two",
    ]
    assert (tmp_path / "error.log").read_text().endswith("three\n")


def test_a_file_that_cannot_be_reopened_leaves_the_old_one(logs: Logger, tmp_path: Path) -> None:
    (tmp_path / "error.log").rename(tmp_path / "old")
    (tmp_path / "error.log").mkdir()
    logs.reopen_files()
    assert "going on in the old one" in (tmp_path / "old").read_text()


def test_a_file_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory") as caught:
        LogFile(str(tmp_path / "none" / "log"))
    assert "\n" not in str(caught.value)


def test_a_full_disk_stops_nothing() -> None:
    log = LogFile("/dev/full")
    log.write("x\n")
    log.close()


def test_a_closed_log_does_not_write_to_whatever_has_its_number_now(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    number = log.fileno()
    log.close()
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
    try:
        assert other == number
        log.write("stray\n")
    finally:
        os.close(other)
    assert (tmp_path / "other").read_bytes() == b""


def test_text_that_has_no_encoding_is_still_written(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    log.write("\udcff\n")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"\\udcff\n"


def test_a_relative_path_stays_where_it_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    log = LogFile("log")
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "log").unlink()
    log.reopen()
    log.write("x\n")
    log.close()
    assert (tmp_path / "log").read_text() == "x\n"
