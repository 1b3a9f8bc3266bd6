"""Each setting that the guide names has a test that shows its effect; which one stands in a table."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, cast

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from nself import log
from nself.app import App
from nself.config import find_project
from nself.domains.job import service as job
from nself.domains.setting import service as setting
from nself.domains.setting.inputs import GetSetting, SetSettings
from nself.gateway import budget
from nself.http import answer, application
from nself.registry import Registry
from serving import serving

TESTS = Path(__file__).parents[1]
SHOWN = {
    "API_TIMEOUT": "guide/test_guide_settings.py::test_a_request_that_takes_longer_than_api_timeout_is_told_so",
    "BILLING_AUTO_SYNC": "domains/sync/test_sync_runs.py::test_it_can_be_switched_off",
    "BILLING_DB_POOL_SIZE": "domains/database/test_connection.py::test_settings_of_the_pool_have_their_effect",
    "BILLING_DB_POOL_TIMEOUT": "domains/database/test_connection.py::test_settings_of_the_pool_have_their_effect",
    "BILLING_LOG_LEVEL": "guide/test_guide_settings.py::test_the_log_level_decides_which_lines_are_written",
    "BILLING_MINIMUM_CHARGE": "domains/invoice/test_invoice_commands.py::test_the_minimum_charge",
    "BILLING_SYNC_INTERVAL": "domains/webhook/test_webhook_recovery.py::test_the_interval_is_the_setting",
    "BILLING_TIMEZONE": "domains/quota/test_quota.py::test_a_day_of_23_hours_ends_an_hour_earlier",
    "DB_QUERY_TIMEOUT": "domains/database/test_query.py::test_statement_timeout",
    "HTTPS_PROXY": "domains/connection/test_walk.py::test_a_proxy_that_refuses_and_one_that_leads_nowhere",
    "HTTP_PROXY": "gateway/test_gateway_faults.py::test_a_proxy_is_used_for_others_and_never_for_the_loopback",
    "MAIL_ENABLED": "domains/notification/test_mail.py::test_settings_that_are_missing_are_told_with_what_helps",
    "MAIL_FROM": "domains/notification/test_mail.py::test_settings_that_are_missing_are_told_with_what_helps",
    "NO_PROXY": "gateway/test_gateway_faults.py::test_a_proxy_is_used_for_others_and_never_for_the_loopback",
    "PDF_MEMORY_LIMIT": "domains/document/test_document_states.py::test_memory_and_time_have_limits_that_are_told",
    "QUOTA_ENFORCEMENT_ENABLED": "domains/quota/test_quota.py::test_enforcement_switched_off_allows_and_says_so",
    "STRIPE_API_BASE": "gateway/test_gateway_guard.py::test_the_sandbox_forces_test_mode",
    "STRIPE_MAX_RETRIES": "gateway/test_gateway_faults.py::test_when_tries_run_out",
    "STRIPE_MOCK_ENABLED": "gateway/test_gateway_guard.py::test_the_mocks_usual_address_is_the_sandbox_while_that_is_enabled",
    "STRIPE_MODE": "gateway/test_gateway_guard.py::test_key_and_mode_agree",
    "STRIPE_PRORATION_BEHAVIOR": "domains/subscription/test_subscription_changes.py::test_the_setting_decides_what_a_change_costs",
    "STRIPE_PUBLISHABLE_KEY": "domains/check/test_modes.py::test_what_differs_is_named_with_its_command",
    "STRIPE_RATE_LIMIT_BUFFER": "gateway/test_gateway_faults.py::test_the_limit_holds_on_the_wire",
    "STRIPE_RETRY_BACKOFF": "gateway/test_gateway_retry.py::test_the_policy_comes_from_the_settings",
    "STRIPE_SECRET_KEY": "gateway/test_gateway_sandbox.py::test_a_key_that_is_no_longer_good",
    "STRIPE_TAX_CALCULATION": "domains/invoice/test_invoice_commands.py::test_tax_by_rates_automatic_and_reverse",
    "STRIPE_WEBHOOK_SECRET": "gateway/test_gateway_signature.py::test_without_a_secret_nothing_is_accepted",
    "USAGE_AGGREGATION_INTERVAL": "guide/test_guide_settings.py::test_the_interval_of_aggregation_is_the_setting",
    "USAGE_AGGREGATION_PARALLEL": "domains/usage/test_usage_metrics.py::test_workers_share_the_shards_and_are_told",
    "USAGE_AGGREGATION_WORKERS": "domains/usage/test_usage_metrics.py::test_workers_share_the_shards_and_are_told",
    "USAGE_BUFFER_SIZE": "domains/usage/test_usage_buffer.py::test_a_full_buffer_is_told_and_keeps_what_it_took",
    "USAGE_ENABLE_BUFFER": "domains/usage/test_usage_buffer.py::test_without_the_buffer_it_is_told_as_before",
    "WEBHOOK_ASYNC_PROCESSING": "domains/webhook/test_webhook_switches.py::test_without_async_processing_the_answer_comes_after_it",
    "WEBHOOK_IDEMPOTENCY_ENABLED": "domains/webhook/test_webhook_switches.py::test_idempotency_decides_whether_a_second_delivery_is_processed_again",
    "WEBHOOK_SEQUENTIAL_PER_OBJECT": "domains/webhook/test_webhook_switches.py::test_without_sequence_the_second_worker_takes_it_and_the_first_stores_nothing",
    "WEBHOOK_TIMEOUT": "domains/webhook/test_webhook_switches.py::test_processing_that_takes_too_long_is_given_up_and_tried_again",
    "WEBHOOK_TRACK_VERSIONS": "domains/webhook/test_webhook_switches.py::test_without_versions_who_stores_last_wins",
    "WEBHOOK_USE_LOCKS": "domains/webhook/test_webhook_switches.py::test_without_locks_both_store",
    "WEBHOOK_USE_QUEUE": "domains/webhook/test_webhook_switches.py::test_without_the_queue_the_service_works_after_its_answer",
    "BILLING_ASYNC_OPERATIONS": "domains/invoice/test_invoice_later.py::test_everybodys_month_goes_on_in_the_worker_once",
    "BILLING_AUTO_PAYMENT": "domains/payment/test_payment_queue.py::test_the_automatic_payment_of_an_invoice_made_here_waits",
    "BILLING_CACHE_ENABLED": "domains/api_key/test_api_key.py::test_without_the_cache_a_revoked_key_is_refused_at_once",
    "BILLING_CACHE_TTL": "domains/api_key/test_api_key.py::test_without_the_cache_a_revoked_key_is_refused_at_once",
    "BILLING_GRACEFUL_DEGRADATION": "domains/connection/test_safe_mode.py::test_while_stripe_is_away_reads_answer_from_the_mirror_and_say_its_age",
    "BILLING_MEMORY_LIMIT": "domains/uptime/test_uptime_heart.py::test_a_process_that_outgrows_its_memory_is_asked_to_end",
    "BILLING_QUEUE_PAYMENTS": "domains/payment/test_payment_queue.py::test_a_payment_waits_for_the_drain_and_is_made_once",
    "BILLING_SAFE_MODE": "domains/connection/test_safe_mode.py::test_in_safe_mode_all_is_recorded_and_nothing_is_done",
    "BILLING_USE_QUEUE": "domains/invoice/test_invoice_later.py::test_without_one_of_the_switches_it_is_waited_for",
    "NODE_OPTIONS": "guide/test_guide_settings.py::test_what_is_of_another_language_is_taken_and_said_to_do_nothing",
    "STRIPE_BATCH_REQUESTS": "gateway/test_gateway_cache.py::test_with_batching_many_looks_are_one_call",
    "STRIPE_CACHE_TTL": "gateway/test_gateway_cache.py::test_an_entry_is_out_of_date_after_its_time",
    "STRIPE_ENABLE_CACHE": "gateway/test_gateway_cache.py::test_what_one_process_looked_up_the_others_know",
    "STRIPE_ENABLE_IP_WHITELIST": "http/test_http_webhook.py::test_with_a_whitelist_only_stripes_addresses_are_taken",
    "STRIPE_REQUIRE_2FA": "domains/trail/test_trail.py::test_money_waits_for_the_operator_where_that_is_asked_for",
    "batch_size": "guide/test_guide_settings.py::test_the_keys_of_stripe_yml_are_settings",
    "rate_limit_buffer": "guide/test_guide_settings.py::test_the_keys_of_stripe_yml_are_settings",
    "usage-metrics.yml": "http/test_http_ingest.py::test_a_broken_metric_file_is_not_the_senders_fault",
    "overage-tiers.yml": "domains/catalog/test_catalog.py::test_a_broken_price_file_says_where",
}
ELSEWHERE = {"BILLING_LOG_LEVEL", "batch_size", "rate_limit_buffer", "usage-metrics.yml", "overage-tiers.yml"}
"""Named by the guide outside its `nself` lines: `export`, and files to edit."""


class Clock(Protocol):
    now: datetime


def named() -> set[str]:
    lines = (TESTS / "guide" / "guide.jsonl").read_text("utf-8").splitlines()
    commands = [str(json.loads(line)["command"]) for line in lines]
    return {name for one in commands for name in re.findall(r"\benv (?:set|get) (\w+)", one)} | ELSEWHERE


def test_every_setting_of_the_guide_has_its_test() -> None:
    assert named() == SHOWN.keys()
    assert len(named()) == 58


@pytest.mark.parametrize("name", SHOWN)
def test_the_test_is_there_and_speaks_of_the_setting(name: str) -> None:
    path, _, test = SHOWN[name].partition("::")
    text = (TESTS / path).read_text("utf-8")
    assert name in text
    assert test in {one.name for one in ast.parse(text).body if isinstance(one, ast.FunctionDef)}


# What no other file shows


def with_settings(app: App, **settings: str) -> App:
    return App(app.project, app.registry, environ={**app.environ, **settings}, clock=app.clock)


@pytest.mark.parametrize(("limit", "status"), [("1s", 504), ("60s", 200)])
def test_a_request_that_takes_longer_than_api_timeout_is_told_so(
    app: App, monkeypatch: pytest.MonkeyPatch, limit: str, status: int
) -> None:
    over = threading.Event()

    def slow(_app: App, _row: object, _request: Request, _raw: bytes, request_id: str) -> Response:
        over.wait(60 if status == 504 else 0.01)
        return answer.body({}, request_id)

    monkeypatch.setattr(application, "_run", slow)
    made = with_settings(app, API_TIMEOUT=limit)
    transport = httpx.ASGITransport(app=application.application(made, hot=[]))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://here", timeout=60) as client:
            try:
                return await client.get("/api/v1/access?user=user123")
            finally:
                over.set()

    found = asyncio.run(ask())
    assert found.status_code == status
    assert status == 200 or found.json()["error"]["message"] == "The request took longer than API_TIMEOUT (1 s)"


def test_the_log_level_decides_which_lines_are_written(app: App, tmp_path: Path) -> None:
    levels = ("debug", "info", "warning", "error")
    for at, level in enumerate(levels):
        log.configure("cli", level, tmp_path / level)
        for one in levels:
            log.logger.log(log.logging.getLevelNamesMapping()[one.upper()], f"line of {one}")
        log.close()
        text = "".join(path.read_text() for path in (tmp_path / level).iterdir())
        assert [one for one in levels if f"line of {one}" in text] == [*levels[at:]]
    for level, told in (("info", True), ("error", False)):
        with serving(app.project.root, str(app.environ["DATABASE_URL"]), BILLING_LOG_LEVEL=level) as service:
            service.stop()
            assert ("service_started" in service.log.read_text()) == told
            service.log.unlink()


def test_the_interval_of_aggregation_is_the_setting(app: App, clock: Clock) -> None:
    """Made shorter it holds at once; a run is followed by the next after as long."""
    (type,) = (one for one, row in job.kinds(app).items() if row.every == "USAGE_AGGREGATION_INTERVAL")
    for minutes in (30, 5):
        made = with_settings(app, USAGE_AGGREGATION_INTERVAL=f"{minutes}m")
        job.ensure(made)
        job.run_due(made, type if job.kinds(made)[type].long else None)
        found = job.schedule(made, type)
        assert found.every_seconds == 60 * minutes
        assert found.next_at == clock.now + timedelta(minutes=minutes)
        clock.now += timedelta(minutes=1)


def test_the_keys_of_stripe_yml_are_settings(app: App) -> None:
    """Page size and share of the rate limit; the effect of both settings is shown by their own tests."""
    app.project.config.mkdir(parents=True)
    (app.project.config / "stripe.yml").write_text("batch_size: 7\nrate_limit_buffer: 0.4\n")
    folder = app.project.root
    made = App(find_project(str(folder), {}, folder), cast("Registry", app.registry), environ=dict(app.environ))
    assert made.settings.integer("STRIPE_BATCH_SIZE") == 7
    assert budget.limit(made.settings) == budget.TEST_LIMIT * 4 // 10


def test_what_is_of_another_language_is_taken_and_said_to_do_nothing(app: App) -> None:
    """The guide names NODE_OPTIONS for more memory."""
    (taken,) = setting.set_values(app, SetSettings(assignments=["NODE_OPTIONS=--max-old-space-size=3072"]))
    assert taken.in_force
    shown = setting.get(with_settings(app, NODE_OPTIONS="--max-old-space-size=3072"), GetSetting(name="NODE_OPTIONS"))
    assert shown.value == "--max-old-space-size=3072"
    assert shown.effect.startswith("none: the product is no Node program")
