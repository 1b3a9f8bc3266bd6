"""`nself exec SERVICE COMMAND`: a program beside a service, by its arguments alone; who ran what stands in the log."""

from __future__ import annotations

import os
import subprocess
import sys

from nself import log
from nself.app import App
from nself.domains.operation import rules
from nself.domains.operation.inputs import Execute
from nself.domains.operation.model import Executed, NoSuchProgram, ProgramNotRun
from nself.log import redact
from nself.process import nginx, supervisor
from nself.process.table import DEFAULT, program


def execute(app: App, given: Execute) -> Executed:
    """Input and output are the caller's. Raises NoSuchService, NoSuchProgram, ProgramNotRun, BadNginxConfiguration."""
    row = DEFAULT.named([given.service])[0]
    command = list(given.command)
    log.info("command_executed", service_of=row.name, by=app.operator(), command=[redact(one) for one in given.command])
    if row.name == nginx.NAME:
        nginx.ensure(app.project, app.settings)
        command = rules.nginx_command(command, str(nginx.configuration(app.project)), nginx.arguments(app.project))
        if rules.is_nginx(given.command):
            found = program(nginx.NAME)
            if not found:
                return _say("nginx is not installed here, so that nothing was done: apt-get install nginx; the file "
                            f"for a web server elsewhere is {nginx.configuration(app.project)}")  # fmt: skip
            if rules.is_reload(command) and (reason := _why_not(app, found)):
                return _say(reason)
            command[0] = found
    done = Executed(exit_code=_run(app, row.name, command))
    log.info("command_ended", service_of=row.name, exit_code=done.exit_code)
    return done


def _say(text: str) -> Executed:
    sys.stdout.write(f"{text}\n")
    return Executed(exit_code=0)


def _why_not(app: App, found: str) -> str:
    """Why there is nothing to reload; the configuration is tested in any case. Raises BadNginxConfiguration."""
    said = nginx.require(found, app.project)
    state = supervisor.states(app.project).get(nginx.NAME)
    if state and state.pid:
        return ""
    return f"{said}\nnginx does not run, so that nothing was reloaded; it reads this when it starts: nself start nginx"


def _run(app: App, service: str, command: list[str]) -> int:
    environ = {**os.environ, **_forwarded(app, service), "NSELF_PROJECT": str(app.project.root)}
    sys.stdout.flush()
    try:
        code = subprocess.run(command, check=False, cwd=app.project.root, env=environ).returncode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoSuchProgram(program=command[0]) from error
    except OSError as error:
        raise ProgramNotRun(program=command[0], detail=error.strerror) from error
    return code if code >= 0 else 128 - code


def _forwarded(app: App, service: str) -> dict[str, str]:
    """What `start` or `restart` carried over to the service."""
    wish = supervisor.wishes(app.project).get(service)
    return dict(wish.environ) if wish else {}
