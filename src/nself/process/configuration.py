"""supervisord's configuration, rendered from the table."""

from __future__ import annotations

import math
from pathlib import Path

from nself.core.project import Project
from nself.core.settings import Settings
from nself.process.paths import digest, run_folder, socket_folder, write_changed
from nself.process.table import Service, Table, patience

NAME = "supervisord.conf"
LOG_BYTES = "20MB"
LOG_BACKUPS = 5
START_RETRIES = 10
# Paths are relative to the run folder, where supervisord works: its parser cuts a value at " ;" and expands "%".
HEAD = """\
; Written by nself from the table of services; changes are overwritten.
[supervisord]
logfile=supervisord.log
logfile_maxbytes=5MB
logfile_backups=2
pidfile=supervisord.pid
childlogdir=.
nodaemon=true
silent=true
nocleanup=true
identifier=nself-{digest}
umask=077
minfds=256
minprocs=1

[unix_http_server]
file={socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
PROGRAM = """
[program:{name}]
command="%(ENV_NSELF_PYTHON)s" -P -m {launcher} {name}
directory=../..
autostart=false
autorestart=true
startsecs=1
startretries={retries}
stopsignal={signal}
stopwaitsecs={patience}
killasgroup=true
priority={priority}
redirect_stderr=true
stdout_logfile=logs/{name}.log
stdout_logfile_maxbytes={log_bytes}
stdout_logfile_backups={log_backups}
"""


def socket_path(project: Project) -> Path:
    return socket_folder(project) / "supervisor.sock"


def _program(row: Service, settings: Settings) -> str:
    return PROGRAM.format(
        name=row.name,
        launcher=row.launcher,
        retries=START_RETRIES,
        signal=row.stop_signal,
        patience=math.ceil(patience(row, settings)),
        # What others need starts first and stops last.
        priority=200 if row.needs else 100,
        log_bytes=LOG_BYTES,
        log_backups=LOG_BACKUPS,
    )


def render(project: Project, settings: Settings, table: Table) -> bool:
    """Write the configuration; whether it changed. Raises InvalidSetting, StateUnwritable."""
    head = HEAD.replace("{digest}", digest(project)).replace("{socket}", str(socket_path(project)))
    text = head + "".join(_program(row, settings) for row in table.rows)
    return write_changed(run_folder(project) / NAME, text)
