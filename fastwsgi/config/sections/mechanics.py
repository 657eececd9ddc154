"""The process, its folder and its environment."""

from __future__ import annotations

import os
from typing import ClassVar

from fastwsgi.config.checks import (
    absolute_folder,
    assignments,
    field_value,
    flag,
    flag_or_yes,
    group_id,
    listed,
    optional_folder,
    optional_path,
    optional_string,
    paste_target,
    permissions,
    present_folder,
    user_id,
)
from fastwsgi.config.setting import Setting


class ServerMechanics:
    """The rows of this section."""

    SECTION: ClassVar = "Server mechanics"

    preload_app = Setting(
        flag,
        False,
        "--preload",
        text="Load the application once, before the workers are forked.",
    )
    sendfile = Setting(
        flag_or_yes,
        True,
        "--no-sendfile",
        bare=False,
        text="Whether the kernel sends the files that an application returns by wsgi.file_wrapper; the"
        " flag says that it does not. $SENDFILE unless set.",
    )
    chdir = Setting(
        absolute_folder,
        present_folder,
        "--chdir",
        metavar="FOLDER",
        text="The folder to change to before the application is loaded.",
    )
    pythonpath = Setting(
        optional_string,
        None,
        "--pythonpath",
        metavar="FOLDERS",
        text="Folders, with commas between them, to look for modules in.",
    )
    raw_env = Setting(
        assignments,
        (),
        "-e",
        "--env",
        metavar="NAME=VALUE",
        text="An environment variable for the application. May be given several times.",
    )
    pidfile = Setting(
        optional_string,
        None,
        "-p",
        "--pid",
        metavar="FILE",
        text="The file to write the master's process id to.",
    )
    daemon = Setting(
        flag,
        False,
        "-D",
        "--daemon",
        text="Leave the terminal and serve in the background. The command returns when the server listens.",
    )
    user = Setting(
        user_id,
        os.geteuid,
        "-u",
        "--user",
        metavar="USER",
        text="The user, by name or number, that the workers run as.",
    )
    group = Setting(
        group_id,
        os.getegid,
        "-g",
        "--group",
        metavar="GROUP",
        text="The group, by name or number, that the workers run as.",
    )
    initgroups = Setting(
        flag,
        False,
        "--initgroups",
        text="Give the workers all the groups that their user is a member of. Without it, a worker that"
        " becomes another user has its group alone.",
    )
    umask = Setting(
        permissions,
        0,
        "-m",
        "--umask",
        metavar="MASK",
        text="What the files of unix sockets do not permit; octal where it begins with 0.",
    )
    tmp_upload_dir = Setting(
        optional_folder,
        None,
        "--tmp-upload-dir",
        metavar="FOLDER",
        text="The folder for large request bodies; worker_tmp_dir unless set.",
    )
    worker_tmp_dir = Setting(
        optional_folder,
        None,
        "--worker-tmp-dir",
        metavar="FOLDER",
        text="The folder for large request bodies where tmp_upload_dir is not set; the system's"
        " temporary folder unless set. The heartbeat, for which gunicorn has it, needs no file here.",
    )
    paste = Setting(
        paste_target,
        None,
        "--paste",
        "--paster",
        metavar="FILE",
        text="A PasteDeploy file whose application is to be served, FILE or FILE#NAME. Its section"
        " [loggers] is for logconfig. Needs the extra fastwsgi[paste].",
    )
    raw_paste_global_conf = Setting(
        listed,
        (),
        "--paste-global",
        metavar="KEY=VALUE",
        text="A value for the [DEFAULT] of that file. May be given several times.",
    )
    request_streaming = Setting(
        flag,
        False,
        "--request-streaming",
        text="Call the application when the head of a request is there, and let it read the body while"
        " it arrives. Needs threads or gevent.",
        ours=True,
    )
    health_path = Setting(
        optional_path,
        None,
        "--health-path",
        metavar="PATH",
        text="A path that the server itself answers, even where all threads are busy: 200, or 503 from"
        " TERM on.",
        ours=True,
    )
    health_log = Setting(
        flag,
        False,
        "--health-log",
        text="Write requests for health_path to the access log, and count them for max_requests.",
        ours=True,
    )
    server_header = Setting(
        field_value,
        "fastwsgi",
        "--server-header",
        metavar="STRING",
        text="The Server field of every response; an empty string leaves it out.",
        ours=True,
    )
