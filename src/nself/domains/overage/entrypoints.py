"""Ways into overage: what is above the quotas, what it costs, what was invoiced of it."""

from nself.core.entrypoint import Causes, Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing quota show-overage",
        use="overage.service.show:show",
        input="overage.inputs:ShowOverage",
        help="Show a user's usage above the quotas in a month, and what it costs.",
        example="nself billing quota show-overage --user user123",
    ),
    Command(
        path="billing quota calculate-overage",
        use="overage.service.show:calculate",
        input="overage.inputs:CalculateOverage",
        help="Calculate what a usage above a quota would cost, beside what the user's real usage costs.",
        example="nself billing quota calculate-overage --user user123 --actual-usage 1500 --quota-limit 1000",
    ),
    Command(
        path="billing overage audit",
        use="overage.service.show:audit",
        input="overage.inputs:AuditOverage",
        help="Check each overage of each month of a user against what was invoiced, with the reason of a difference.",
        example="nself billing overage audit --user user123",
    ),
    Command(
        path="billing overage recalculate",
        use="overage.service.decide:recalculate",
        input="overage.inputs:RecalculateOverage",
        help="Count a user's overage anew from the events and compare; what was invoiced is never changed.",
        example="nself billing overage recalculate --user user123",
        audited=True,
    ),
    Command(
        path="billing overage update",
        use="overage.service.decide:update",
        input="overage.inputs:UpdateOverage",
        help="Set a month's overage by hand; where it was invoiced, the difference stands on the next invoice.",
        example="nself billing overage update --user user123 --usage 1500 --quota 1000 --rate 0.10",
        audited=True,
    ),
    Causes(use="overage.service.causes:CAUSES"),
)
