"""How seeds stand: files, objects, the last run, and which root cause keeps them from being there."""

from __future__ import annotations

from nself.app import App
from nself.core.errors import BillingError
from nself.domains.seed import rules, store
from nself.domains.seed.inputs import ShowSeeds
from nself.domains.seed.model import KindStatus, SeedStatus
from nself.domains.seed.service import look


def status(app: App, given: ShowSeeds) -> SeedStatus:
    """Looks only, in live mode too. Raises DatabaseUnavailable."""
    asked, problems = look.asked(app)
    causes = [f"invalid file: {one}" for one in problems]
    causes += _mode(app)
    try:
        standing = look.standing(app) if causes else look.standing_at_stripe(app)
    except BillingError as error:
        standing = look.standing(app)
        causes.append(f"Stripe was not asked, this is what is known here: {error.message}")
    rows, differences, twice = rules.compare(asked, standing)
    with app.db.reading() as tx:
        last = store.last(tx)
    causes += [f"duplicate data: {one} - nself billing seed clear --confirm" for one in twice]
    causes += [f"the last run failed: {one}" for one in (last.errors if last else ())]
    causes += _not_run(rows)
    return SeedStatus(
        mode=app.settings.text("STRIPE_MODE"),
        folder=str(app.project.seeds.relative_to(app.project.root)),
        kinds=rows,
        differences=differences,
        last_run=rules.last_run(last) or "never",
        causes=causes,
    )


def _mode(app: App) -> list[str]:
    try:
        look.require_test_mode(app)
    except BillingError as error:
        return [f"test mode not enabled: {error.message} - {error.hint[0] if error.hint else 'nself env list'}"]
    return []


def _not_run(rows: list[KindStatus]) -> list[str]:
    missing = [f"{one.missing} of {one.wanted} {one.kind}" for one in rows if one.missing]
    return [f"seed script not run: {', '.join(missing)} are missing - nself billing seed run"] if missing else []
