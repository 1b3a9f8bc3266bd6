"""Ways into the doctor."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="billing doctor",
        use="doctor.service.examine:doctor",
        input="doctor.inputs:Examine",
        help="Look for root causes: which are there, what shows them, what mends them.",
        example='nself billing doctor --symptom "usage not recorded"',
        check="healthy",
    ),
    Command(
        path="billing doctor list",
        use="doctor.service.examine:list_causes",
        input="doctor.inputs:ListCauses",
        help="List the root causes that are looked for.",
        example="nself billing doctor list --issue 6.3",
    ),
    Command(
        path="billing doctor explain",
        use="doctor.service.examine:explain",
        input="doctor.inputs:ExplainCause",
        help="Tell what a root cause is, how it shows and what mends it.",
        example="nself billing doctor explain 1.1.4",
    ),
    Command(
        path="billing doctor fix",
        use="doctor.service.fix:fix",
        input="doctor.inputs:FixCause",
        help="Mend a root cause where that is safe, and look whether it is gone.",
        example="nself billing doctor fix 2.1.1",
        check="mended",
        audited=True,
    ),
)
