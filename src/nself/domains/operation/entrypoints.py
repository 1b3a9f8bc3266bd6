"""Ways for an operator to the running system: `nself maintenance|alert|exec`."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="maintenance on",
        use="operation.service.maintenance:on",
        input="operation.inputs:BeginMaintenance",
        help="Have the API answer 503 with a message; webhooks are still taken, health and docs still answer.",
        example='nself maintenance on --message "Billing system under maintenance" --until 2h',
        audited=True,
    ),
    Command(
        path="maintenance off",
        use="operation.service.maintenance:off",
        input="operation.inputs:EndMaintenance",
        help="Have the API answer again.",
        example="nself maintenance off",
        audited=True,
    ),
    Command(
        path="maintenance status",
        use="operation.service.maintenance:status",
        input="operation.inputs:ShowMaintenance",
        help="Show whether the API is under maintenance, since when, until when and by whom.",
        example="nself maintenance status",
    ),
    Command(
        path="alert send",
        use="operation.service.alert:send",
        input="operation.inputs:SendAlert",
        help="Tell the operators: in the log, by mail (BILLING_ALERT_EMAIL) and in a chat (BILLING_ALERT_WEBHOOK_URL).",
        example='nself alert send --severity critical --message "Billing system failure"',
    ),
    Command(
        path="exec",
        use="operation.service.execute:execute",
        input="operation.inputs:Execute",
        help="Run a program with a service's environment, in its folder, without a shell; its exit code is ours.",
        example="nself exec nginx cat /etc/nginx/nginx.conf",
        exits="exit_code",
        audited=True,
    ),
)
