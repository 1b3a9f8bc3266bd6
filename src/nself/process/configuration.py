"""supervisord's configuration, rendered from the table."""

from __future__ import annotations

import math
from pathlib import Path

from nself.core.project import Project
from nself.core.settings import Settings
from nself.process.paths import digest, log_folder, run_folder, socket_folder, write_changed
from nself.process.table import Service, Table, patience

NAME = "supervisord.conf"
LOG_BYTES = "20MB"
LOG_BACKUPS = 5
START_RETRIES = 10
# Paths come through the daemon's environment or `here`: supervisor's parser cuts a value at " ;".
HEAD = """\
; Written by nself from the table of services; changes are overwritten.
[supervisord]
logfile=%(here)s/supervisord.log
logfile_maxbytes=5MB
logfile_backups=2
pidfile=%(here)s/supervisord.pid
childlogdir=%(here)s
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
directory=%(ENV_NSELF_PROJECT)s
autostart=false
autorestart=true
startsecs=1
startretries={retries}
stopsignal={signal}
stopwaitsecs={patience}
killasgroup=true
priority={priority}
redirect_stderr=true
stdout_logfile={logs}/{name}.log
stdout_logfile_maxbytes={log_bytes}
stdout_logfile_backups={log_backups}
"""


def socket_path(project: Project) -> Path:
    return socket_folder(project) / "supervisor.sock"


def _logs(project: Project, settings: Settings) -> str:
    folder = log_folder(project, settings)
    return "%(here)s/../logs" if folder == project.logs else str(folder).replace("%", "%%")


def _program(row: Service, project: Project, settings: Settings) -> str:
    return PROGRAM.format(
        name=row.name,
        launcher=row.launcher,
        retries=START_RETRIES,
        signal=row.stop_signal,
        patience=math.ceil(patience(row, settings)),
        # What others need starts first and stops last.
        priority=200 if row.needs else 100,
        logs=_logs(project, settings),
        log_bytes=LOG_BYTES,
        log_backups=LOG_BACKUPS,
    )


def render(project: Project, settings: Settings, table: Table) -> bool:
    """Write the configuration; whether it changed. Raises InvalidSetting, StateUnwritable."""
    head = HEAD.replace("{digest}", digest(project)).replace("{socket}", str(socket_path(project)))
    text = head + "".join(_program(row, project, settings) for row in table.rows)
    return write_changed(run_folder(project) / NAME, text)
