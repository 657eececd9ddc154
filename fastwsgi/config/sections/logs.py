"""What is written down, and where."""

from __future__ import annotations

from typing import ClassVar, Final

from fastwsgi.config.checks import (
    dictionary,
    flag,
    further_addresses,
    listed,
    log_format,
    log_level,
    logger_class,
    optional_file,
    optional_string,
    statsd_address,
    syslog_address,
    syslog_facility,
)
from fastwsgi.config.setting import Setting
from fastwsgi.observe.destinations import default_syslog_address

ACCESS_LOG_FORMAT: Final = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


class Logging:
    """The rows of this section."""

    SECTION: ClassVar = "Logging"

    accesslog = Setting(
        optional_file,
        None,
        "--access-logfile",
        metavar="FILE",
        text="The file to write a line per request to; - is the standard output.",
    )
    disable_redirect_access_to_syslog = Setting(
        flag,
        False,
        "--disable-redirect-access-to-syslog",
        text="Send the error log alone to syslog.",
    )
    access_log_format = Setting(
        log_format,
        ACCESS_LOG_FORMAT,
        "--access-logformat",
        metavar="STRING",
        text="The form of such a line. Of gunicorn's atoms there are all; %(Q)s is the time in"
        " milliseconds, part of the others, until a thread was free.",
    )
    access_log_json = Setting(
        flag,
        False,
        "--access-log-json",
        text="Write each line of the access log as a JSON object; docs/logging.md has its fields.",
        ours=True,
    )
    access_log_exclude = Setting(
        listed,
        (),
        "--access-log-exclude",
        metavar="PATH",
        text="A path whose requests are left out of the access log; * stands for any characters."
        " May be given several times.",
        ours=True,
    )
    errorlog = Setting(
        optional_file,
        "-",
        "--error-logfile",
        "--log-file",
        metavar="FILE",
        text="The file to write what happens to; - is the standard error stream.",
    )
    loglevel = Setting(
        log_level,
        "info",
        "--log-level",
        metavar="LEVEL",
        text="How much of it: debug, info, warning, error or critical.",
    )
    capture_output = Setting(
        flag,
        False,
        "--capture-output",
        text="Let what the application prints go to errorlog, too.",
    )
    logger_class = Setting(
        logger_class,
        "gunicorn.glogging.Logger",
        "--logger-class",
        metavar="STRING",
        text="The class that writes the logs: MODULE.NAME, or a class in a configuration file. It has"
        " the methods of gunicorn.glogging.Logger.",
    )
    logconfig = Setting(
        optional_string,
        None,
        "--log-config",
        metavar="FILE",
        text="A file in the form of logging.config.fileConfig.",
    )
    logconfig_dict = Setting(
        dictionary,
        {},
        text="A dictionary for logging.config.dictConfig; goes before logconfig_json and logconfig."
        " Configuration file only.",
    )
    logconfig_json = Setting(
        optional_string,
        None,
        "--log-config-json",
        metavar="FILE",
        text="A JSON file for logging.config.dictConfig; goes before logconfig.",
    )
    syslog_addr = Setting(
        syslog_address,
        default_syslog_address,
        "--log-syslog-to",
        metavar="ADDRESS",
        text="Where syslog is: udp://HOST:PORT, tcp://HOST:PORT, unix://PATH or unix://PATH#dgram.",
    )
    syslog = Setting(
        flag,
        False,
        "--log-syslog",
        text="Send the logs to syslog.",
    )
    syslog_prefix = Setting(
        optional_string,
        None,
        "--log-syslog-prefix",
        metavar="STRING",
        text="The name in syslog, behind 'gunicorn.'; unless set, that of the process.",
    )
    syslog_facility = Setting(
        syslog_facility,
        "user",
        "--log-syslog-facility",
        metavar="STRING",
        text="The facility in syslog.",
    )
    enable_stdio_inheritance = Setting(
        flag,
        False,
        "-R",
        "--enable-stdio-inheritance",
        text="Keep standard output and error of a daemon, and write what workers print line by line.",
    )
    statsd_host = Setting(
        statsd_address,
        None,
        "--statsd-host",
        metavar="ADDRESS",
        text="Where to send metrics in statsd's protocol: HOST:PORT or unix://PATH.",
    )
    dogstatsd_tags = Setting(
        optional_string,
        "",
        "--dogstatsd-tags",
        metavar="TAGS",
        text="Tags that Datadog's statsd gets with each metric: NAME:VALUE, with commas between them.",
    )
    statsd_prefix = Setting(
        optional_string,
        "",
        "--statsd-prefix",
        metavar="STRING",
        text="What the names of metrics begin with; a dot is added where it has none.",
    )
    enable_backlog_metric = Setting(
        flag,
        False,
        "--enable-backlog-metric",
        text="Send once a second how many connections wait in the kernel to be accepted.",
    )
    metrics_bind = Setting(
        further_addresses,
        (),
        "--metrics-bind",
        metavar="ADDRESS",
        text="An address where GET /metrics is answered for Prometheus, about all workers and without"
        " TLS; one that bind does not have. May be given several times.",
        ours=True,
    )
