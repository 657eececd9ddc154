"""The settings that the composition root reads, with their defaults, for servers built inside a test."""

from types import SimpleNamespace

DEFAULTS: dict[str, object] = {
    "backlog": 2048,
    "worker_connections": 1000,
    "execution": "inline",
    "threads": 1,
    "max_queue": 0,
    "queue_timeout": 0,
    "request_timeout": 0,
    "request_streaming": False,
    "health_path": None,
    "health_log": False,
    "workers": 1,
    "keepalive": 2,
    "keepalive_requests": 1000,
    "max_requests": 0,
    "access_log_json": False,
    "access_log_exclude": (),
    "access_log_format": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
    "limit_request_line": 4094,
    "limit_request_fields": 100,
    "limit_request_field_size": 8190,
    "limit_request_head": 65536,
    "limit_request_body": 0,
    "body_buffer_size": 33554432,
    "tmp_upload_dir": None,
    "worker_tmp_dir": None,
    "header_timeout": 10,
    "body_timeout": 30,
    "body_min_rate": 1024,
    "send_timeout": 30,
    "output_buffer_size": 262144,
    "server_header": "fastwsgi",
    "sendfile": True,
    "pre_request": None,
    "post_request": None,
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
    "is_ssl": False,
    "url_scheme": "http",
}


def make_settings(**overrides: object) -> SimpleNamespace:
    """Returns the defaults with `overrides` on top; a name that no setting has is a TypeError."""
    unknown = overrides.keys() - DEFAULTS.keys()
    if unknown:
        raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
    return SimpleNamespace(**(DEFAULTS | overrides))
