"""The command line: flags as gunicorn spells them, abbreviations, and errors of one line."""

import pytest

from fastwsgi import __version__
from fastwsgi.config.cli import parse
from fastwsgi.config.settings import Settings
from fastwsgi.errors import UsageError


def values(*words: str) -> dict[str, object]:
    return dict(parse(words, "fastwsgi").values)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("-b", ":5000"), {"bind": [":5000"]}),
        (("-b:5000", "--bind", "unix:/x"), {"bind": [":5000", "unix:/x"]}),
        (("-w", "4"), {"workers": "4"}),
        (("-w4",), {"workers": "4"}),
        (("--workers=4",), {"workers": "4"}),
        (("-k", "sync"), {"worker_class": "sync"}),
        (("-t", "0"), {"timeout": "0"}),
        (("--keep-alive", "5"), {"keepalive": "5"}),
        (("--limit-request-field_size", "1"), {"limit_request_field_size": "1"}),
        (("--preload",), {"preload_app": True}),
        (("--reuse-port",), {"reuse_port": True}),
        (("-e", "A=1", "--env", "B=2"), {"raw_env": ["A=1", "B=2"]}),
        (("-p", "x.pid"), {"pidfile": "x.pid"}),
        (("--pid", "x.pid"), {"pidfile": "x.pid"}),
        (("-n", "x"), {"proc_name": "x"}),
        (("--access-logfile", "-"), {"accesslog": "-"}),
        (("--access-logformat", "%(h)s"), {"access_log_format": "%(h)s"}),
        (("--error-logfile", "-"), {"errorlog": "-"}),
        (("--log-file", "-"), {"errorlog": "-"}),
        (("--log-level", "debug"), {"loglevel": "debug"}),
        (("--max-requests", "1", "--max-requests-jitter", "2"),
         {"max_requests": "1", "max_requests_jitter": "2"}),
        (("--graceful", "3"), {"graceful_timeout": "3"}),
        (("--check",), {"check_config": True}),
        (("--worker-conn", "9"), {"worker_connections": "9"}),
        ((), {}),
    ],
)  # fmt: skip
def test_what_the_words_mean(words: tuple[str, ...], expected: dict[str, object]) -> None:
    assert values(*words) == expected


@pytest.mark.parametrize(
    ("words", "positional"),
    [
        (("a:b",), ["a:b"]),
        (("-w", "2", "a:b", "-t", "3"), ["a:b"]),
        (("a:b", "c", "-w", "2"), ["a:b", "c"]),
        (("a:b", "-w", "2", "c"), ["a:b", "c"]),
        (("-w", "2", "a:b", "--log-level debug"), ["a:b", "--log-level debug"]),
        (("a:b", "-w", "2", "--log-level debug"), ["a:b", "--log-level debug"]),
        ((), []),
    ],
)
def test_the_words_that_are_no_options(words: tuple[str, ...], positional: list[str]) -> None:
    assert parse(words, "fastwsgi").positional == positional


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--nope",), "there is no option --nope"),
        (("--worker", "3"), "ambiguous option: --worker could match"),
        (("--time-out", "3"), "no option --time-out, did you mean --timeout?"),
        (("--bind",), "expected one argument"),
        (("--preload=x",), "ignored explicit argument 'x'"),
        (("-x",), "there is no option -x"),
    ],
)
def test_what_cannot_be_understood_is_one_line(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words, "fastwsgi")
    assert message in str(caught.value)
    assert str(caught.value).endswith("see fastwsgi --help")
    assert "\n" not in str(caught.value)


def test_help_shows_every_setting_in_its_section(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--help"], "fastwsgi")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for row in Settings.ROWS.values():
        if row.flags:
            before, _, after = text.partition(f"{row.section}:\n")
            assert all(flag in after for flag in row.flags), row.name
            assert row.flags[0] + " " not in before, row.name


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_the_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse([flag], "fastwsgi")
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"fastwsgi (version {__version__})\n"


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("--keep=5", "keepalive"),
        ("--limit-request-field=5", None),
        ("--limit-request-field_=5", "limit_request_field_size"),
        ("--keepalive-r=5", "keepalive_requests"),
        ("--drain=5", "drain_delay"),
        ("--max-q=5", "max_queue"),
        ("--max-r=5", None),
    ],
)
def test_an_abbreviation_is_first_gunicorns(word: str, name: str | None) -> None:
    if name is None:
        with pytest.raises(UsageError, match="ambiguous"):
            values(word)
    else:
        assert values(word) == {name: "5"}


def test_help_has_every_flag_in_its_section(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"], "fastwsgi")
    text = capsys.readouterr().out
    for row in Settings.ROWS.values():
        section = text[text.index(f"\n{row.section}:\n") :] if row.flags else ""
        for flag in row.flags:
            assert flag in section
