"""How many processes, threads and connections there are, and how long things may take."""

from __future__ import annotations

from typing import ClassVar

from fastwsgi.config.checks import integer, positive, process_count, seconds, size, thread_count
from fastwsgi.config.setting import Setting
from fastwsgi.config.worker_classes import known_worker_class, stand_in


class Workers:
    """The rows of this section."""

    SECTION: ClassVar = "Workers"

    workers = Setting(
        process_count,
        1,
        "-w",
        "--workers",
        metavar="INT",
        text="The number of worker processes; auto: as many as CPUs can be used, by affinity and by the"
        " quota of the control group. $WEB_CONCURRENCY unless set.",
    )
    worker_class = Setting(
        known_worker_class,
        "sync",
        "-k",
        "--worker-class",
        metavar="STRING",
        text="How a worker runs the application: sync, one request after the other; gthread, in"
        " threads; gevent, in greenlets. docs/concurrency.md says which to take when.",
        remark=stand_in,
    )
    threads = Setting(
        thread_count,
        1,
        "--threads",
        metavar="INT",
        text="The number of threads of a worker that run the application. More than one makes a sync"
        " worker a gthread one; gevent has none.",
    )
    worker_connections = Setting(
        positive,
        1000,
        "--worker-connections",
        metavar="INT",
        text="The most connections a worker keeps open at once.",
    )
    max_queue = Setting(
        integer,
        0,
        "--max-queue",
        metavar="INT",
        text="The most requests of a worker that wait until a thread is free; what comes beyond is"
        " answered with 503. 0: as many as worker_connections lets in. With gevent none waits.",
        ours=True,
    )
    queue_timeout = Setting(
        seconds,
        0,
        "--queue-timeout",
        metavar="SECONDS",
        text="Seconds a request may wait so, before it is answered with 503 instead; 0 without limit.",
        ours=True,
    )
    max_requests = Setting(
        integer,
        0,
        "--max-requests",
        metavar="INT",
        text="Replace a worker after this many requests; 0 never.",
    )
    max_requests_jitter = Setting(
        integer,
        0,
        "--max-requests-jitter",
        metavar="INT",
        text="Up to this many requests more, chosen at random for each worker, so that not all are"
        " replaced at once.",
    )
    max_rss = Setting(
        size,
        0,
        "--max-rss",
        metavar="BYTES",
        text="Replace a worker that has more memory resident than this, looked at once a second; as in"
        " 512M, with K, M or G. 0 never.",
        ours=True,
    )
    max_lifetime = Setting(
        seconds,
        0,
        "--max-lifetime",
        metavar="SECONDS",
        text="Replace a worker after this many seconds and up to a tenth more, chosen at random for each"
        " worker, so that not all are replaced at once. 0 never.",
        ours=True,
    )
    timeout = Setting(
        integer,
        30,
        "-t",
        "--timeout",
        metavar="INT",
        text="Seconds of silence after which a worker is taken for stuck: it writes down its stacks"
        " and is replaced. 0 never.",
    )
    request_timeout = Setting(
        seconds,
        0,
        "--request-timeout",
        metavar="SECONDS",
        text="Seconds the application may spend on one request; then the client is answered with 504"
        " and the stacks of all threads are written down. A sync worker is replaced, and notices after"
        " a second at the earliest. 0 without limit.",
        ours=True,
    )
    graceful_timeout = Setting(
        integer,
        30,
        "--graceful-timeout",
        metavar="INT",
        text="Seconds a worker that is told to leave has to finish what it began.",
    )
    drain_delay = Setting(
        seconds,
        0,
        "--drain-delay",
        metavar="SECONDS",
        text="Seconds from TERM until the server stops listening, in which a load balancer can notice"
        " that health_path answers 503. graceful_timeout begins after them.",
        ours=True,
    )
    keepalive = Setting(
        integer,
        2,
        "--keep-alive",
        metavar="INT",
        text="Seconds a kept connection waits for the next request.",
    )
    keepalive_requests = Setting(
        integer,
        1000,
        "--keepalive-requests",
        metavar="INT",
        text="The most requests of one connection; 0 without limit.",
        ours=True,
    )
