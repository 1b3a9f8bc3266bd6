"""Ways into customers: Stripe's customers and the users they belong to."""

from nself.core.entrypoint import Command, Intent, Mirror, Route, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing customer create",
        use="customer.service:create",
        input="customer.inputs:CreateCustomer",
        help="Create the Stripe customer of a user; says so when it stands already.",
        example="nself billing customer create --user user123 --email user@example.com",
    ),
    Command(
        path="billing customer show",
        use="customer.service:show",
        input="customer.inputs:ShowCustomer",
        help="Show a customer.",
        example="nself billing customer show cus_123",
    ),
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
)
