"""The rows: what each check takes and refuses, the layers, and the object with the values."""

import os
from pathlib import Path

import pytest

from fastwsgi.config.sections.accepted import Accepted
from fastwsgi.config.setting import Setting, shown
from fastwsgi.config.settings import COMMAND_LINE, DEFAULT_SOURCE, Settings
from fastwsgi.errors import ConfigError, UsageError

DEFAULTS = {
    "config": None,
    "wsgi_app": None,
    "bind": ("127.0.0.1:8000",),
    "backlog": 2048,
    "workers": 1,
    "worker_class": "sync",
    "threads": 1,
    "worker_connections": 1000,
    "max_queue": 0,
    "queue_timeout": 0,
    "max_rss": 0,
    "max_lifetime": 0,
    "timeout": 30,
    "request_timeout": 0,
    "graceful_timeout": 30,
    "drain_delay": 0,
    "keepalive": 2,
    "max_requests": 0,
    "max_requests_jitter": 0,
    "limit_request_line": 4094,
    "limit_request_fields": 100,
    "limit_request_field_size": 8190,
    "pythonpath": None,
    "raw_env": (),
    "preload_app": False,
    "reuse_port": False,
    "pidfile": None,
    "proc_name": None,
    "accesslog": None,
    "access_log_format": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
    "errorlog": "-",
    "loglevel": "info",
    "reload": False,
    "reload_engine": "auto",
    "reload_extra_files": (),
    "access_log_json": False,
    "access_log_exclude": (),
    "capture_output": False,
    "logger_class": "gunicorn.glogging.Logger",
    "logconfig": None,
    "logconfig_dict": {},
    "logconfig_json": None,
    "disable_redirect_access_to_syslog": False,
    "syslog": False,
    "syslog_addr": "udp://localhost:514",
    "syslog_prefix": None,
    "syslog_facility": "user",
    "enable_stdio_inheritance": False,
    "statsd_host": None,
    "statsd_prefix": "",
    "dogstatsd_tags": "",
    "enable_backlog_metric": False,
    "metrics_bind": (),
    "check_config": False,
    "print_config": False,
    "tmp_upload_dir": None,
    "worker_tmp_dir": None,
    "paste": None,
    "raw_paste_global_conf": (),
    "request_streaming": False,
    "health_log": False,
    "health_path": None,
    "limit_request_head": 65536,
    "limit_request_body": 0,
    "keepalive_requests": 1000,
    "body_buffer_size": 33554432,
    "header_timeout": 10,
    "body_timeout": 30,
    "body_min_rate": 1024,
    "send_timeout": 30,
    "output_buffer_size": 262144,
    "server_header": "fastwsgi",
    "on_starting": None,
    "on_reload": None,
    "when_ready": None,
    "pre_fork": None,
    "post_fork": None,
    "post_worker_init": None,
    "worker_int": None,
    "worker_abort": None,
    "pre_exec": None,
    "pre_request": None,
    "post_request": None,
    "child_exit": None,
    "worker_exit": None,
    "nworkers_changed": None,
    "on_exit": None,
    "ssl_context": None,
    "forwarded_allow_ips": ("127.0.0.1", "::1"),
    "secure_scheme_headers": {
        "X-FORWARDED-PROTOCOL": "ssl",
        "X-FORWARDED-PROTO": "https",
        "X-FORWARDED-SSL": "on",
    },
    "forwarder_headers": ("SCRIPT_NAME", "PATH_INFO"),
    "header_map": "drop",
    "real_ip": None,
    "proxy_protocol": "off",
    "proxy_allow_ips": ("127.0.0.1", "::1"),
    "permit_obsolete_folding": False,
    "strip_header_spaces": False,
    "permit_unconventional_http_method": False,
    "permit_unconventional_http_version": False,
    "casefold_http_method": False,
    "sendfile": True,
    "default_proc_name": None,
    "protocol": "http",
    "uwsgi_allow_ips": ("127.0.0.1", "::1"),
    "http_parser": "auto",
    "http_protocols": ("h1",),
    "http2_cleartext": "off",
    "http2_max_concurrent_streams": 100,
    "http2_initial_window_size": 65535,
    "http2_max_frame_size": 16384,
    "http2_max_header_list_size": 65536,
    "asgi_loop": "auto",
    "asgi_lifespan": "auto",
    "asgi_disconnect_grace_period": 3,
    "websocket_max_message_size": 16777216,
    "root_path": "",
    "dirty_apps": (),
    "dirty_workers": 0,
    "dirty_timeout": 300,
    "dirty_threads": 1,
    "dirty_graceful_timeout": 30,
    "on_dirty_starting": None,
    "dirty_post_fork": None,
    "dirty_worker_init": None,
    "dirty_worker_exit": None,
    "spew": False,
    "control_socket": None,
    "control_socket_mode": 0o600,
    "control_socket_disable": False,
    "keyfile": None,
    "certfile": None,
    "sni": (),
    "ca_certs": None,
    "cert_reqs": 0,
    "ciphers": None,
    "ssl_version": 2,
    "suppress_ragged_eofs": True,
    "do_handshake_on_connect": False,
    "daemon": False,
    "user": os.geteuid(),
    "group": os.getegid(),
    "initgroups": False,
    "umask": 0,
}


def of(source: str = "file", /, **values: object) -> Settings:
    return Settings([(source, values)])


def test_every_setting_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PWD", raising=False)
    settings = Settings()
    assert {name: getattr(settings, name) for name in Settings.ROWS} == {
        **DEFAULTS,
        "chdir": os.getcwd(),
    }


def test_no_two_settings_share_a_flag_and_every_row_is_whole() -> None:
    flags = [flag for row in Settings.ROWS.values() for flag in row.flags]
    assert len(flags) == len(set(flags))
    for name, row in Settings.ROWS.items():
        assert row.name == name
        assert row.section
        assert row.text.endswith(".")
        # A flag stands alone, everything else says what it takes.
        assert (row.metavar is None) == (row.is_flag or not row.flags), name


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("workers", "3", 3),
        ("workers", " 4 ", 4),
        ("workers", True, 1),
        ("timeout", "0", 0),
        ("limit_request_fields", 100_000, 32768),
        ("limit_request_fields", 0, 32768),
        ("preload_app", "yes", True),
        ("preload_app", "", False),
        ("preload_app", 1, True),
        ("preload_app", None, False),
        ("sendfile", None, True),
        ("sendfile", False, False),
        ("sendfile", "", False),
        ("threads", 0, 1),
        ("timeout", "0x10", 16),
        ("timeout", "1_000", 1000),
        ("control_socket_mode", "0660", 0o660),
        ("control_socket_mode", "0o660", 0o660),
        ("control_socket_mode", "660", 660),
        ("control_socket_mode", 0o660, 0o660),
        ("http_parser", " Fast ", "fast"),
        ("http_parser", None, "auto"),
        ("http2_cleartext", True, "prior-knowledge"),
        ("http2_cleartext", False, "off"),
        ("http_protocols", "h2, H1", ("h2", "h1")),
        ("http_protocols", "", ("h1",)),
        ("uwsgi_allow_ips", "10.0.0.0/8, ::1,*", ("10.0.0.0/8", "::1", "*")),
        ("uwsgi_allow_ips", "", ()),
        ("dirty_apps", "a,b", ("a,b",)),
        ("raw_env", "A=1,2", ("A=1,2",)),
        ("raw_env", None, ()),
        ("bind", "a:1, b:2", ("a:1", "b:2")),
        ("bind", ["unix:/x", ":80"], ("unix:/x", ":80")),
        ("raw_env", ["A=1", "B="], ("A=1", "B=")),
        ("loglevel", "DEBUG", "debug"),
        ("loglevel", "warn", "warning"),
        ("access_log_format", " %(h)s ", "%(h)s"),
        ("server_header", "", ""),
        ("pidfile", None, None),
        ("worker_class", "eventlet", "eventlet"),
        ("request_timeout", "1.5", 1.5),
        ("request_timeout", 0.25, 0.25),
        ("drain_delay", " 5 ", 5),
        ("health_path", "/healthz", "/healthz"),
        ("health_path", None, None),
        ("umask", "007", 0o7),
        ("umask", "0o22", 0o22),
        ("umask", "0x1F", 0x1F),
        ("umask", "18", 18),
        ("umask", 0o77, 0o77),
        ("user", "root", 0),
        ("user", " 65534", 65534),
        ("user", 7, 7),
        ("user", None, os.geteuid()),
        ("group", "root", 0),
        ("group", None, os.getegid()),
    ],
)
def test_what_a_check_makes_of_a_value(name: str, given: object, value: object) -> None:
    assert getattr(of(**{name: given}), name) == value


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("workers", 0),
        ("workers", "0"),
        ("workers", -1),
        ("workers", "two"),
        ("workers", "٣"),
        ("workers", 2.5),
        ("workers", None),
        ("timeout", "-1"),
        ("header_timeout", 0),
        ("preload_app", "perhaps"),
        ("bind", []),
        ("bind", ""),
        ("bind", 8000),
        ("bind", ["127.0.0.1:99999"]),
        ("bind", "ftp://x"),
        ("raw_env", ["NOVALUE"]),
        ("raw_env", ["=1"]),
        ("raw_env", ["A=\0"]),
        ("loglevel", "loud"),
        ("worker_class", "tornado"),
        ("backlog", 0),
        ("http_parser", "slow"),
        ("http_protocols", "h1,h1"),
        ("http_protocols", "h3"),
        ("http2_cleartext", "yes"),
        ("http2_max_concurrent_streams", 0),
        ("http2_initial_window_size", 2**31),
        ("http2_max_frame_size", 16383),
        ("control_socket_mode", "0x"),
        ("control_socket_mode", "089"),
        ("uwsgi_allow_ips", "10.0.0.1/8"),
        ("protocol", "fastcgi"),
        ("protocol", "uwsgi"),
        ("request_timeout", "soon"),
        ("request_timeout", "nan"),
        ("request_timeout", float("inf")),
        ("request_timeout", -0.5),
        ("request_timeout", None),
        ("health_path", "healthz"),
        ("health_path", ""),
        ("health_path", "/a b"),
        ("health_path", "/a?b"),
        ("health_path", "/a#b"),
        ("worker_class", "my.Worker"),
        ("access_log_format", "%(h"),
        ("access_log_format", None),
        ("server_header", "a\r\nb: c"),
        ("server_header", "é"),
        ("pidfile", 5),
        ("umask", "99x"),
        ("umask", "089"),
        ("umask", -1),
        ("user", "no such user"),
        ("user", "-1"),
        ("user", 2**32 - 1),
        ("user", 1.5),
        ("group", "no such group"),
        ("chdir", "/nowhere/at/all"),
        ("tmp_upload_dir", "/nowhere/at/all"),
        ("errorlog", 5),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_setting_and_the_source(
    name: str, given: object
) -> None:
    with pytest.raises(ConfigError) as caught:
        of("gunicorn.conf.py", **{name: given})
    message = str(caught.value)
    assert "gunicorn.conf.py" in message
    assert "\n" not in message
    assert caught.value.exit_code == 1


def test_a_bad_value_on_the_command_line_is_a_usage_error_that_names_the_flag() -> None:
    with pytest.raises(UsageError, match=r"^--workers takes a whole number, not 'x'$") as caught:
        of(COMMAND_LINE, workers="x")
    assert caught.value.exit_code == 2


def test_an_unknown_worker_class_names_what_exists_and_exits_1() -> None:
    with pytest.raises(
        ConfigError, match=r"'tornado': .*; there is: sync, gthread, gevent"
    ) as caught:
        of(COMMAND_LINE, worker_class="tornado")
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("name", "threads", "execution", "effective"),
    [
        ("sync", 1, "inline", "sync"),
        ("sync", 2, "threads", "gthread"),
        ("gthread", 1, "threads", "gthread"),
        ("gthread", 8, "threads", "gthread"),
        ("gunicorn.workers.sync.SyncWorker", 1, "inline", "sync"),
        ("gunicorn.workers.sync.SyncWorker", 2, "threads", "gthread"),
        ("gevent", 8, "gevent", "gevent"),
        ("gevent_pywsgi", 1, "gevent", "gevent"),
        ("eventlet", 1, "gevent", "gevent"),
    ],
)
def test_which_model_a_worker_class_and_threads_mean(
    name: str, threads: int, execution: str, effective: str
) -> None:
    settings = of(worker_class=name, threads=threads)
    assert (settings.execution, settings.effective_class) == (execution, effective)
    assert (settings.worker_class, settings.threads) == (name, threads)
    assert len(settings.remarks) == (name == "eventlet")


@pytest.mark.parametrize(
    ("values", "patience"),
    [
        ({}, 30),
        ({"timeout": 0}, float("inf")),
        ({"request_timeout": 2.5}, 2.5),
        ({"request_timeout": 60}, 30),
        ({"timeout": 0, "request_timeout": 60}, 60),
        # There the worker itself watches its requests; its loop is never busy with one.
        ({"request_timeout": 2.5, "threads": 2}, 30),
        ({"request_timeout": 2.5, "worker_class": "gevent"}, 30),
    ],
)
def test_how_long_a_worker_may_be_silent(values: dict[str, object], patience: float) -> None:
    assert of(**values).patience == patience


def test_streaming_needs_something_that_can_wait_for_the_body() -> None:
    for values in ({"threads": 2}, {"worker_class": "gthread"}, {"worker_class": "gevent"}):
        assert of(request_streaming=True, **values).request_streaming
    with pytest.raises(ConfigError, match=r"^request_streaming needs .* \(file\)$") as caught:
        of(request_streaming=True)
    assert "\n" not in str(caught.value)


def test_a_higher_layer_wins_and_replaces_lists() -> None:
    settings = Settings(
        [
            ("low", {"workers": 2, "bind": ["a:1", "b:2"], "timeout": 5}),
            ("high", {"workers": 3, "bind": "c:3"}),
        ]
    )
    assert (settings.workers, settings.bind, settings.timeout) == (3, ("c:3",), 5)
    assert [settings.source(name) for name in ("workers", "timeout", "backlog")] == [
        "high",
        "low",
        DEFAULT_SOURCE,
    ]


def test_a_bad_value_is_refused_even_where_a_higher_layer_replaces_it() -> None:
    with pytest.raises(ConfigError, match="low"):
        Settings([("low", {"workers": "x"}), ("high", {"workers": 1})])


def test_settings_do_not_change() -> None:
    with pytest.raises(AttributeError, match="workers"):
        Settings().workers = 5


def test_a_relative_folder_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    assert of(chdir="sub").chdir == str(tmp_path / "sub")


def test_printed_settings_show_value_and_source() -> None:
    lines = str(of("somewhere", workers=7)).splitlines()
    assert [line.split()[0] for line in lines] == sorted(Settings.ROWS)
    workers = next(line for line in lines if line.startswith("workers "))
    assert workers.split() == ["workers", "=", "7", "#", "somewhere"]


def test_the_folder_has_the_name_the_shell_has_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "release").mkdir()
    (tmp_path / "current").symlink_to("release")
    monkeypatch.chdir(tmp_path / "current")
    for name, folder in (
        (str(tmp_path / "current"), "current"),
        (str(tmp_path), "release"),  # another folder: left over from before
        (".", "release"),
        ("", "release"),
        ("/gone", "release"),
    ):
        monkeypatch.setenv("PWD", name)
        assert Settings().chdir == str(tmp_path / folder)


OTHER = {
    "protocol": None,  # refuses what is not its default
    "uwsgi_allow_ips": "*",
    "http_parser": "fast",
    "http_protocols": "h2,h1",
    "http2_cleartext": "both",
    "asgi_loop": "uvloop",
    "asgi_lifespan": "off",
    "root_path": "/x",
    "control_socket": "/x",
    "dirty_apps": ["a:b"],
    "on_dirty_starting": "os.path.basename",
    "dirty_post_fork": "fnmatch.fnmatch",
    "dirty_worker_init": "os.path.basename",
    "dirty_worker_exit": "fnmatch.fnmatch",
    "spew": True,
    "control_socket_disable": True,
}


@pytest.mark.parametrize(
    "name", [name for name, row in vars(Accepted).items() if isinstance(row, Setting)]
)
def test_each_setting_that_changes_nothing_is_answered_with_one_line(name: str) -> None:
    other = OTHER.get(name, 20000)
    if other is not None:
        settings = of(**{name: other})
        (line,) = settings.remarks
        assert line.startswith(f"{name} = {shown(getattr(settings, name))}: ")


def test_the_defaults_are_worth_no_remark() -> None:
    assert Settings().remarks == []


def test_settings_have_what_hooks_ask_of_gunicorns_config() -> None:
    settings = of(bind="a:1,unix:/x,fd://3", raw_env=["A=1", "B=c=d"], threads=2, proc_name="p")
    assert settings.address == [("a", 1), "/x", 3]
    assert settings.env == {"A": "1", "B": "c=d"}
    assert (settings.is_ssl, settings.worker_class_str) == (False, "gthread")
    assert (settings.uid, settings.gid) == (os.geteuid(), os.getegid())
    assert settings.settings["proc_name"].value == settings.settings["proc_name"].get() == "p"
    assert settings.settings.keys() == Settings.ROWS.keys()


def test_metrics_have_an_address_of_their_own() -> None:
    with pytest.raises(ConfigError, match=r"metrics_bind has an address that bind has: a:1.*\(x\)"):
        Settings([("x", {"bind": ["a:1", "b:1"], "metrics_bind": ["c:1", "a:1"]})])
    assert Settings([("x", {"metrics_bind": ["a:1", "b:1", "a:1"]})]).metrics_bind == ("a:1", "b:1")
