"""Which settings make operations slow or cut them off."""

from __future__ import annotations

from pathlib import Path

from nself.app import App
from nself.config import find_project
from nself.diagnosis import Look
from nself.domains.health.service import causes
from nself.registry import Registry


def app(folder: Path, **settings: str) -> App:
    return App(find_project(str(folder), {}, folder), Registry(), environ={**settings})


def found(folder: Path, **settings: str) -> list[str]:
    """Of the causes that need nothing but settings."""
    look = Look(app(folder, **settings))
    return [one.id for one in causes.CAUSES if not one.needs and one.detect(look)]


def test_settings_as_they_are_and_generous_ones_are_no_cause(tmp_path: Path) -> None:
    assert found(tmp_path) == []
    assert found(tmp_path, STRIPE_BATCH_REQUESTS="true", BILLING_USE_QUEUE="true") == []


def test_each_setting_is_one_cause(tmp_path: Path) -> None:
    assert found(tmp_path, STRIPE_BATCH_REQUESTS="false") == ["8.1.3"]
    assert found(tmp_path, BILLING_USE_QUEUE="false") == ["8.4.4"]
