"""Do key, STRIPE_MODE, webhook endpoint, stored rows and sandbox belong to one mode?"""

from __future__ import annotations

from nself.app import App
from nself.core.errors import BillingError
from nself.domains.check import rules, store
from nself.domains.check.inputs import ShowMode
from nself.domains.check.model import ModeShown
from nself.domains.sandbox import rules as sandbox
from nself.domains.sandbox.service import load
from nself.domains.stack import service as stack
from nself.domains.stack.inputs import ShowStatus
from nself.domains.webhook.service import endpoints


def show_mode(app: App, given: ShowMode) -> ModeShown:
    """Looks only; a live key is sent nowhere but to Stripe. Raises DatabaseUnavailable."""
    settings = app.settings
    mode = settings.text("STRIPE_MODE")
    problems = list(rules.key_problems(settings, app.environ))
    endpoint = _endpoint(app, mode, problems)
    with app.db.reading() as tx:
        rows = store.rows_by_mode(tx)
    problems += rules.row_problems(mode, rows)
    return ModeShown(
        mode=mode,
        mode_origin=settings.value("STRIPE_MODE").origin,
        secret_key=rules.shown_key(settings, "STRIPE_SECRET_KEY"),
        publishable_key=rules.shown_key(settings, "STRIPE_PUBLISHABLE_KEY"),
        webhook_endpoint=endpoint,
        live_rows=rows.live,
        test_rows=rows.test,
        sandbox=_sandbox(app),
        agree=not problems,
        problems=problems,
    )


def _endpoint(app: App, mode: str, problems: list[str]) -> str:
    """Our endpoint at Stripe and its mode."""
    try:
        ours = endpoints.ours(app, list(app.stripe.listed("webhook_endpoints")))
    except BillingError as error:
        helps = error.hint[0] if error.hint else "nself billing stripe test-connection"
        problems.append(f"Stripe was not asked: {error.message} - {helps}")
        return "not asked"
    if ours is None:
        return "none"
    found = rules.LIVE if ours.get("livemode") else rules.TEST
    if found != mode:
        problems.append(f"the webhook endpoint is of {found} mode - nself billing webhook list-endpoints")
    return f"{found} mode: {ours['id']} {ours['url']}"


def _sandbox(app: App) -> str:
    settings = app.settings
    (service,) = stack.status(app, ShowStatus(services=["stripe-mock"]))
    used = sandbox.is_sandbox(settings.stripe_api_base, settings.integer("STRIPE_MOCK_PORT"))
    told = f"{'used' if used else 'not used'}, calls go to {settings.stripe_api_base}; stripe-mock is {service.state}"
    return f"{told}{_fixtures(app)}"


def _fixtures(app: App) -> str:
    """What keeps those of the project's folder from being loaded."""
    try:
        return "" if not app.project.fixtures.is_dir() or load.readable(app) else "; fixtures: the folder holds none"
    except BillingError as error:
        return f"; fixtures: {error.message}"
