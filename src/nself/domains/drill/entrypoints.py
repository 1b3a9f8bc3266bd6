"""Ways into rehearsals."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing drill list",
        use="drill.service.rehearse:list_drills",
        input="drill.inputs:ListDrills",
        help="List the root causes that can be rehearsed.",
        example="nself billing drill list --issue 1.1",
    ),
    Command(
        path="billing drill plant",
        use="drill.service.rehearse:plant",
        input="drill.inputs:PlantDrill",
        help="Plant a root cause at the sandbox, for somebody to find and mend.",
        example="nself billing drill plant random --yes",
        audited=True,
    ),
    Command(
        path="billing drill check",
        use="drill.service.rehearse:check_drill",
        input="drill.inputs:CheckDrill",
        help="Tell what was planted and whether it is mended.",
        example="nself billing drill check",
        check="mended",
    ),
    Command(
        path="billing drill clear",
        use="drill.service.rehearse:clear",
        input="drill.inputs:ClearDrill",
        help="Take away what was planted and put the guide's fixtures back.",
        example="nself billing drill clear --yes",
        audited=True,
    ),
    Command(
        path="billing drill run",
        use="drill.service.rehearse:run",
        input="drill.inputs:RunDrills",
        help="Plant, show, find and mend root causes, and tell each step.",
        example="nself billing drill run 1.1.4 --yes",
        audited=True,
    ),
)
