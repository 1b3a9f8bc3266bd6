"""Root causes of issue 9.2: seeded objects are not there. Asks nobody at Stripe: what the mirror has and what the last run said."""

from __future__ import annotations

from typing import NamedTuple

from nself.app import App
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.seed import rules, store
from nself.domains.seed.model import ConstraintFails, KindStatus, LastRun, SeedsInTestModeOnly
from nself.domains.seed.service import read

FRESH = ("nself billing seed clear --confirm", "nself billing seed run")


class Facts(NamedTuple):
    """`rows` is empty where no files ask for anything. `twice`: keys that stand more than once."""

    rows: list[KindStatus]
    twice: list[str]
    last: LastRun | None

    @property
    def error(self) -> str:
        return "; ".join(self.last.errors) if self.last else ""


def facts(app: App) -> Facts:
    """For `look.once`. Writes no default files, as commands do; where nobody ever asked for seeds nothing is searched."""
    files = store.own_files(app.project.seeds)
    with app.db.reading() as tx:
        last = store.last(tx)
        if last is None and files == rules.DEFAULTS:  # a command wrote them, of a database that is no more
            files = {}
        standing = store.standing(tx) if (files or last) and not app.settings.live else []
    rows, _, twice = rules.compare(read.read(files)[0], standing)
    return Facts([one for one in rows if one.wanted], twice, last)


def not_run(look: Look) -> Evidence | None:
    """Never, or not since the files ask for more. A run that failed has a cause of its own; who cleared them wants them away."""
    found = look.once(facts)
    if found.last and found.last.cleared:
        return None
    missing = [f"{one.missing} of {one.wanted} {one.kind}" for one in found.rows if one.missing]
    if not missing or found.error or look.app.settings.live:
        return None
    return Evidence(
        f"{', '.join(missing)} of the seed files are not there; last run: {rules.last_run(found.last) or 'never'}"
    )


def live(look: Look) -> Evidence | None:
    found = look.once(facts)
    if not look.app.settings.live or not found.error.startswith(SeedsInTestModeOnly.text[:30]):
        return None
    return Evidence(f"STRIPE_MODE is live; {rules.last_run(found.last)}: {found.error}")


def constraint(look: Look) -> Evidence | None:
    found = look.once(facts)
    if not found.error.startswith(ConstraintFails.text.partition("{")[0]):
        return None
    return Evidence(f"{rules.last_run(found.last)}: {found.error}")


def duplicates(look: Look) -> Evidence | None:
    twice = look.once(facts).twice
    return Evidence(f"Stand more than once: {', '.join(twice)}") if twice else None


CAUSES = (
    Cause(
        id="9.2.1",
        title="Seed script not run",
        detect=not_run,
        explain=(
            "The files in services/billing/data/seeds ask for objects that are not there, and no run has failed: seeds were never run, "
            "or not since the files were changed or the objects deleted."
        ),
        mend=("nself billing seed run",),
        itself=True,
    ),
    Cause(
        id="9.2.2",
        title="Test mode not enabled",
        detect=live,
        explain=(
            "Seeds were asked for while STRIPE_MODE is live. They exist in test mode only, so the run was refused before it made anything."
        ),
        mend=("nself env set STRIPE_MODE=test", *FRESH),
        elsewhere="The keys of test mode, where those of live mode are set",
    ),
    Cause(
        id="9.2.3",
        title="Database constraints failing",
        detect=constraint,
        explain=(
            "The last run of seeds ended because a constraint of the database refused a row; its name says which rule the files break, "
            "or which rule somebody added. What Stripe refuses is told in words of Stripe's and is none of this."
        ),
        mend=("nself billing seed status", *FRESH),
        elsewhere="The seed file that breaks the rule, or whoever added the constraint",
    ),
    Cause(
        id="9.2.4",
        title="Duplicate data",
        detect=duplicates,
        explain=(
            "Several objects bear the mark of one seed: somebody copied them at Stripe or made them with another tool. Runs are refused "
            "then, as nobody can tell which of them is meant."
        ),
        mend=FRESH,
    ),
)  # fmt: skip
