"""Ways into seeds and test data: in test mode only."""

from nself.core.entrypoint import Causes, Command, Row

ROWS: tuple[Row, ...] = (
    Causes(use="seed.service.causes:CAUSES"),
    Command(
        path="billing seed run",
        use="seed.service.run:run",
        input="seed.inputs:RunSeeds",
        help="Make what services/billing/data/seeds asks for, at Stripe and here; what stands already is left.",
        example="nself billing seed run",
        audited=True,
    ),
    Command(
        path="billing seed status",
        use="seed.service.show:status",
        input="seed.inputs:ShowSeeds",
        help="Show what the seed files ask for, what is there, what differs, the last run, and what is wrong.",
        example="nself billing seed status",
    ),
    Command(
        path="billing seed clear",
        use="seed.service.clear:clear",
        input="seed.inputs:ClearSeeds",
        help="Delete what seeds and test-data made, at Stripe and here; without --confirm only tell what that is.",
        example="nself billing seed clear --confirm",
        audited=True,
    ),
    Command(
        path="billing seed customers",
        use="seed.service.run:customers",
        input="seed.inputs:RunSeeds",
        help="Make the customers of the seed files.",
        example="nself billing seed customers",
    ),
    Command(
        path="billing seed subscriptions",
        use="seed.service.run:subscriptions",
        input="seed.inputs:RunSeeds",
        help="Make the subscriptions of the seed files, and the customers that they need.",
        example="nself billing seed subscriptions",
    ),
    Command(
        path="billing seed invoices",
        use="seed.service.run:invoices",
        input="seed.inputs:RunSeeds",
        help="Make the invoices of the seed files, and the customers that they need.",
        example="nself billing seed invoices",
    ),
    Command(
        path="billing test-data create",
        use="seed.service.run:test_data",
        input="seed.inputs:CreateTestData",
        help="Make customers, subscriptions and invoices by chance; the same --seed makes the same. `seed clear` takes them away.",
        example="nself billing test-data create --customers 10 --subscriptions 5 --invoices 20",
    ),
)
