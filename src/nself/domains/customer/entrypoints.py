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
        example='{"limit": 10}',
    ),
    Command(
        path="billing customer update",
        use="customer.service:update",
        input="customer.inputs:UpdateCustomer",
        help="Change a customer at Stripe: email, name, address, who owes tax, language.",
        example="nself billing customer update cus_123 --email user@example.com --address-country US",
        audited=True,
    ),
    Command(
        path="billing customer set-tax-id",
        use="customer.service:set_tax_id",
        input="customer.inputs:SetTaxId",
        help="Give a customer a tax id, checked here first; takes the place of another of its type.",
        example="nself billing customer set-tax-id cus_123 --type us_ein --value 12-3456789",
        audited=True,
    ),
    Command(
        path="billing customer trial-eligibility",
        use="customer.service:trial_eligibility",
        input="customer.inputs:TrialEligibility",
        help="Tell whether a customer may have a trial, and why not.",
        example="nself billing customer trial-eligibility cus_123",
    ),
    Command(
        path="billing customer portal",
        use="customer.service:portal",
        input="customer.inputs:OpenPortal",
        help="Make a link to Stripe's page where a customer sees invoices and changes cards.",
        example="nself billing customer portal --customer cus_123",
        audited=True,
    ),
    Route(
        method="GET",
        path="/api/v1/customers/{customer}",
        use="customer.service:show",
        input="customer.inputs:ShowCustomer",
        scope="admin",
        help="A customer.",
        example='{"customer": "cus_123"}',
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
