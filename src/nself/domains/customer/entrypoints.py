"""Ways into customers: Stripe's customers and the users they belong to. What compares them with Stripe is in `sync`."""

from nself.core.entrypoint import Command, Intent, Mirror, Reaction, Route, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing customer list",
        use="customer.service:list_customers",
        input="customer.inputs:ListCustomers",
        help="List customers, newest first.",
        example="nself billing customer list --limit 20",
    ),
    Route(
        method="GET",
        path="/api/v1/customers",
        use="customer.service:list_customers",
        input="customer.inputs:ListCustomers",
        scope="admin",
        help="Customers, newest first.",
    ),
    Intent(
        kind="customer.create",
        call="customer.service:call_create",
        settle="customer.service:settle_create",
        find="customer.service:find_created",
    ),
    Mirror(kind="customer", apply="customer.service:apply"),
    Reaction(kind="customer", use="customer.service:tell_created"),
)
