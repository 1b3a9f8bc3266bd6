"""Symptoms lead to issues; causes come before what follows from them; what cannot be looked at is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nself.app import App
from nself.core.errors import Unavailable
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.doctor import rules
from nself.domains.doctor.inputs import Examine, ExplainCause, FixCause, ListCauses
from nself.domains.doctor.model import NoSuchCause, NoSuchSymptom, NotMendedHere, Report
from nself.domains.doctor.service import examine, fix

IDS = [f"9.{issue}.{cause}" for issue in range(1, 3) for cause in range(1, 5)]


def cause(id: str, *, follows: tuple[str, ...] = (), text: str | None = "seen", needs: tuple[str, ...] = ()) -> Cause:
    def detect(look: Look) -> Evidence | None:
        return Evidence(text, {"user": "a b"}) if text else None

    return Cause(
        id,
        f"title of {id}",
        detect,
        "why",
        ("nself billing usage show --user {user}",),
        follows=follows,
        needs=needs,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "symptom, issue",
    [
        ("usage not recorded", "2.1"),
        ("Invalid API key provided", "1.1"),
        ("HTTP 429", "1.3"),
        ("webhooks rejected with 400", "1.2"),
        ("card was declined", "3.2"),
        ("customers get no receipts by email", "4.5"),
        ("user is blocked but should not be", "5.2"),
        ("out of memory", "8.3"),
        ("gateway timeout 504", "8.4"),
        ("same event processed twice", "6.2"),
        ("invoice pdf is broken", "4.4"),
        ("wrong tax on the invoice", "4.3"),
        ("trial was not applied", "3.4"),
        ("still active after cancel", "3.5"),
    ],
)
def test_a_symptom_in_somebodys_words_leads_to_its_issue(app: App, symptom: str, issue: str) -> None:
    assert rules.issues_like(symptom, examine.all_causes(app))[0] == issue


def test_words_that_no_symptom_knows_are_an_error(app: App) -> None:
    with pytest.raises(NoSuchSymptom):
        examine.doctor(app, Examine(symptom="purple elephants"))


@given(
    st.lists(st.sampled_from(IDS), unique=True),
    st.fixed_dictionaries({id: st.lists(st.sampled_from(IDS[:at] or [id]), max_size=3) for at, id in enumerate(IDS)}),
)
def test_a_consequence_is_told_under_a_cause_that_is_none_itself(
    present: list[str], follows: dict[str, tuple[str, ...]]
) -> None:
    """Slow and obvious: whatever a chain of found causes leads up to; in a circle nobody hides everybody."""
    found = {id: (cause(id, follows=follows.get(id, ())), Evidence("seen", {"user": "u"})) for id in present}
    told = rules.ranked(found)
    assert sorted(one.cause for one in told) == sorted(present)
    for one in told:
        assert one.because != one.cause
        if one.because:
            assert one.because in _above(one.cause, present, follows)
        else:
            assert not [above for above in follows.get(one.cause, ()) if above in present and above != one.cause]


def _above(id: str, present: list[str], follows: dict[str, tuple[str, ...]]) -> set[str]:
    reached, waiting = set[str](), [id]
    while waiting:
        for above in follows.get(waiting.pop(), ()):
            if above in present and above not in reached:
                reached.add(above)
                waiting.append(above)
    return reached


def test_causes_come_first_and_what_follows_from_each_behind_it() -> None:
    found = {
        one.id: (one, Evidence("seen", {"user": "u"}))
        for one in (
            cause("9.1.1", follows=("9.2.2",)),
            cause("9.2.2"),
            cause("9.2.1"),
            cause("9.2.3", follows=("9.1.1",)),
        )
    }
    assert [(one.cause, one.because) for one in rules.ranked(found)] == [
        ("9.2.1", ""), ("9.2.2", ""), ("9.1.1", "9.2.2"), ("9.2.3", "9.2.2"),
    ]  # fmt: skip


def test_commands_are_ready_to_paste(app: App) -> None:
    report = examine.examine(app, [cause("9.1.1")])
    assert report.findings[0].mend == ["nself billing usage show --user 'a b'"]
    assert "follows from it" not in report.plain() and "9.1.1" in report.plain()


def test_one_that_cannot_be_looked_at_hides_no_other(app: App) -> None:
    def broken(look: Look) -> Evidence | None:
        raise ZeroDivisionError("oh")

    report = examine.examine(app, [cause("9.1.1")._replace(detect=broken), cause("9.1.2")])
    assert [one.cause for one in report.findings] == ["9.1.2"]
    assert [(one.causes, one.reason) for one in report.unseen] == [(["9.1.1"], "ZeroDivisionError: oh")]
    assert not examine.examine(app, [cause("9.1.1")._replace(detect=broken)]).healthy
    assert examine.examine(app, [cause("9.1.1", text=None)]).healthy


def test_one_whose_evidence_lacks_what_its_commands_need_hides_no_other(app: App) -> None:
    report = examine.examine(app, [cause("9.1.1")._replace(detect=lambda look: Evidence("seen")), cause("9.1.2")])
    assert [one.cause for one in report.findings] == ["9.1.2"] and report.unseen[0].causes == ["9.1.1"]


def test_what_needs_a_database_that_is_away_is_not_looked_at(app: App) -> None:
    away = App(app.project, app.registry, environ={"DATABASE_URL": "postgresql://127.0.0.1:1/none"}, clock=app.clock)
    report = examine.examine(away, [cause("9.1.1", needs=("database",)), cause("9.1.2")])
    away.close()
    assert [one.cause for one in report.findings] == ["9.1.2"]
    assert report.unseen[0].causes == ["9.1.1"] and "database does not answer" in report.unseen[0].reason


def test_what_several_ask_is_found_out_once(app: App) -> None:
    asked = list[str]()

    def ask(app: App) -> int:
        asked.append("once")
        if len(asked) > 1:
            raise AssertionError
        return 7

    def failing(app: App) -> int:
        asked.append("failing")
        raise Unavailable(detail="away")

    look = Look(app)
    assert [look.once(ask), look.once(ask)] == [7, 7]
    for _ in range(2):
        with pytest.raises(Unavailable):
            look.once(failing)
    assert asked == ["once", "failing"]


def test_every_cause_can_be_explained(app: App) -> None:
    rows = examine.list_causes(app, ListCauses())
    assert len(rows) == len(examine.all_causes(app))
    for row in rows:
        assert row.cause in examine.explain(app, ExplainCause(cause=row.cause)).plain()
    with pytest.raises(NoSuchCause):
        examine.explain(app, ExplainCause(cause="9.9.4"))


def test_watching_tells_only_what_changed(app: App) -> None:
    texts = iter(["seen", "seen", None])

    def detect(look: Look) -> Evidence | None:
        text = next(texts)
        return Evidence(text, {"user": "u"}) if text else None

    causes = [cause("9.1.1")._replace(detect=detect)]
    watched = examine._watch(app, causes, [], 0.01)  # pyright: ignore[reportPrivateUsage]
    reports: list[Report] = [next(watched), next(watched)]
    assert [one.healthy for one in reports] == [False, True]


def test_what_a_person_has_to_decide_is_not_mended(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "all_causes", lambda app: (cause("9.1.1")._replace(elsewhere="Dashboard"),))
    assert [one.exit_code for one in fix.fix(app, FixCause(cause="9.1.1", dry_run=True)).deeds] == [None]
    with pytest.raises(NotMendedHere, match="Dashboard"):
        fix.fix(app, FixCause(cause="9.1.1"))


def test_what_is_not_there_is_not_mended(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "all_causes", lambda app: (cause("9.1.1", text=None)._replace(itself=True),))
    done = fix.fix(app, FixCause(cause="9.1.1"))
    assert (done.mended, done.deeds) == (True, [])


@pytest.mark.parametrize(
    "issues, wanted",
    [
        ([], True),
        (["2"], True),
        (["2.1"], True),
        (["2.1.1"], True),
        (["2.1.2"], False),
        (["1"], False),
        (["3", "2.1"], True),
    ],
)
def test_a_cause_belongs_to_its_issue_and_chapter(issues: list[str], wanted: bool) -> None:
    assert rules.belongs("2.1.1", issues) is wanted


def test_an_issue_without_causes_is_an_error(app: App) -> None:
    for issue in ("9.9", "2.1.9", "x"):
        with pytest.raises(NoSuchCause):
            examine.doctor(app, Examine(issue=issue))
    with pytest.raises(NoSuchCause):
        examine.list_causes(app, ListCauses(issue="9.9"))


def test_nobody_waits_for_a_lock(app: App) -> None:
    """Statements of an examination are given up after some seconds; those of the app are not."""
    with app.db.transaction() as tx:
        ours = tx.value(b"show statement_timeout")
    seen = list[object]()

    def ask(look: Look) -> Evidence | None:
        with look.app.db.reading() as tx:
            seen.append(tx.value(b"show statement_timeout"))
        return None

    examine.examine(app, [cause("9.1.1")._replace(detect=ask)])
    assert (ours, seen) == ("30s", ["5s"])
