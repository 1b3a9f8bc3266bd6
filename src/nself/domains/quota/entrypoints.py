"""Ways into quotas."""

from nself.core.entrypoint import Command, Route, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing quota set",
        use="quota.service.limits:set_quota",
        input="quota.inputs:SetQuota",
        help="Set a limit for a user, or for everybody on a plan.",
        example="nself billing quota set --user user123 --metric api_calls --limit 1000 --period month",
    ),
    Command(
        path="billing quota show",
        use="quota.service.ask:show",
        input="quota.inputs:ShowQuota",
        help="Show a user's limits and what is left of them.",
        example="nself billing quota show --user user123",
        aliases=("billing quota status",),
    ),
    Command(
        path="billing quota check",
        use="quota.service.ask:check_user",
        input="quota.inputs:CheckUser",
        help="Check whether a user may go on; exit 3 where a hard limit forbids it.",
        example="nself billing quota check --user user123 --metric api_calls --value 1",
        check="allowed",
    ),
    Route(
        method="POST",
        path="/api/v1/quota/check",
        use="quota.service.ask:check",
        input="quota.inputs:CheckQuota",
        scope="quota",
        help="Whether `value` more of `metric` is allowed; 429 with the same body where it is not.",
        refusal="allowed",
    ),
    Route(
        method="POST",
        path="/api/v1/quota/reserve",
        use="quota.service.ask:reserve",
        input="quota.inputs:ReserveQuota",
        scope="quota",
        help="Take `value` of the limit until it is committed, released or expires; 429 with the same body where it is not there.",
        refusal="allowed",
    ),
    Route(
        method="POST",
        path="/api/v1/quota/commit",
        use="quota.service.ask:commit",
        input="quota.inputs:CommitQuota",
        scope="quota",
        help="Record what was used of a reservation; again is the same as once. More than was reserved needs room: 429 where there is none.",
        refusal="allowed",
    ),
    Route(
        method="POST",
        path="/api/v1/quota/release",
        use="quota.service.ask:release",
        input="quota.inputs:ReleaseQuota",
        scope="quota",
        help="Give a reservation back; again is the same as once.",
        refusal="allowed",
    ),
)
