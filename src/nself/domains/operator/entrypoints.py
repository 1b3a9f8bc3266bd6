"""Ways into the accounts of the dashboard."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing operator add",
        use="operator.service:add",
        input="operator.inputs:AddOperator",
        help="Add somebody to the dashboard; prints the link that lets them choose password and device, once.",
        example="nself billing operator add ada@example.com --role owner",
        audited=True,
    ),
    Command(
        path="billing operator link",
        use="operator.service:link",
        input="operator.inputs:LinkOperator",
        help="Make a new one-time link, for who lost password or device.",
        example="nself billing operator link ada@example.com",
        audited=True,
    ),
    Command(
        path="billing operator list",
        use="operator.service:list_operators",
        input="operator.inputs:ListOperators",
        help="List who may use the dashboard.",
        example="nself billing operator list",
    ),
    Command(
        path="billing operator role",
        use="operator.service:set_role",
        input="operator.inputs:SetRole",
        help="Change what somebody may do.",
        example="nself billing operator role ada@example.com operator",
        audited=True,
    ),
    Command(
        path="billing operator sign-out",
        use="operator.service:sign_out_everywhere",
        input="operator.inputs:SignOut",
        help="End all sessions of somebody.",
        example="nself billing operator sign-out ada@example.com",
        audited=True,
    ),
    Command(
        path="billing operator remove",
        use="operator.service:remove",
        input="operator.inputs:RemoveOperator",
        help="Take somebody's access away.",
        example="nself billing operator remove ada@example.com",
        audited=True,
    ),
)
