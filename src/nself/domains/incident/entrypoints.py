"""Ways into incidents."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing incident create",
        use="incident.service:create",
        input="incident.inputs:CreateIncident",
        help="Open an incident: from its beginning on, what is done is shown with it.",
        example="nself billing incident create --type overcharge --severity critical --description 'Charged twice on 2026-01-30'",
        audited=True,
    ),
    Command(
        path="billing incident list",
        use="incident.service:list_incidents",
        input="incident.inputs:ListIncidents",
        help="List incidents, newest first.",
        example="nself billing incident list --state open",
    ),
    Command(
        path="billing incident show",
        use="incident.service:show",
        input="incident.inputs:ShowIncident",
        help="Show an incident with all that was done from its beginning to its end: audits, exports, refunds, mails, notes.",
        example="nself billing incident show inc_123",
    ),
    Command(
        path="billing incident note",
        use="incident.service:note",
        input="incident.inputs:NoteIncident",
        help="Add a sentence to an incident.",
        example="nself billing incident note inc_123 'The double charge came from a retried job'",
        audited=True,
    ),
    Command(
        path="billing incident close",
        use="incident.service:close",
        input="incident.inputs:CloseIncident",
        help="Close an incident.",
        example="nself billing incident close inc_123 --resolution 'All were refunded and told'",
        audited=True,
    ),
)
