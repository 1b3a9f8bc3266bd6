"""Ways into the services: `nself start|stop|restart|status|logs`."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="start",
        use="stack.service:start",
        input="stack.inputs:StartServices",
        help="Start services, and the database that they need; without a name all usual ones.",
        example="nself start billing",
    ),
    Command(
        path="stop",
        use="stack.service:stop",
        input="stack.inputs:StopServices",
        help="Let services finish their work and end; without a name all, the database last.",
        example="nself stop billing",
    ),
    Command(
        path="restart",
        use="stack.service:restart",
        input="stack.inputs:RestartServices",
        help="Stop and start services with the settings of now; BILLING_* of this shell go along.",
        example="nself restart billing",
    ),
    Command(
        path="status",
        use="stack.service:status",
        input="stack.inputs:ShowStatus",
        help="Show services: state, process, uptime, port, memory, settings.",
        example="nself status usage-collector",
    ),
    Command(
        path="logs",
        use="stack.service:logs",
        input="stack.inputs:ReadLogs",
        help="Print the log of a service, or of a group's services in order of time.",
        example="nself logs billing --tail 100 --level warning --since 2h",
    ),
)
