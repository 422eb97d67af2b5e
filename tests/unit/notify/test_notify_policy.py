"""The file of channels and subscriptions: strict, named by its keys, and selective."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from schemas.notification import About
from schemas.plan import Risk
from shared.errors import Misconfigured
from shared.notify import Fact, NotifySettings, read_notify, way_of
from shared.notify.hours import Quiet, window_end

CHANNEL = '[channels.ops]\nkind = "mail"\nto = ["ops@example.org"]\n'
HOOK = '[channels.hook]\nkind = "webhook"\nsecret = "hook"\n'


def policy(tmp_path, text: str):
    path = tmp_path / "notify.toml"
    path.write_text(text)
    read_notify.cache_clear()
    return read_notify(path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("channels = 3", "channels"),
        ('[channels.ops]\nkind = "fax"', "channels.ops.kind"),
        ('[channels.ops]\nkind = "mail"', "channels.ops"),
        ('[channels.ops]\nkind = "mail"\nto = ["a@example.org\\nBcc: b@example.org"]', "channels.ops.to.0"),
        (CHANNEL + 'colour = "red"', "channels.ops.colour: there is no such entry"),
        (CHANNEL + 'digest = "soon"', "channels.ops.digest"),
        (CHANNEL + 'quiet = {from = "25:00", to = "07:00"}', "channels.ops.quiet.from"),
        (CHANNEL + 'quiet = {from = "22:00", to = "07:00", zone = "Mars/Base"}', "channels.ops.quiet.zone"),
        (HOOK, "channels.hook"),
        (HOOK + 'url = "ftp://example.org"', "channels.hook.url"),
        (HOOK + 'url = "http://example.org/x"', "channels.hook"),
        (HOOK + 'url = "https://user:word@example.org/x"', "channels.hook.url"),
        (CHANNEL + '[[subscriptions]]\nevents = ["question"]\nchannels = ["gone"]', "no channel `gone`"),
        (CHANNEL + '[[subscriptions]]\nevents = ["quesiton"]\nchannels = ["ops"]', "subscriptions.0.events.0"),
        ("[channels.ops", "not TOML"),
    ],
)
def test_a_wrong_entry_is_refused_by_its_name_without_its_value(tmp_path, text, named):
    with pytest.raises(Misconfigured) as refused:
        policy(tmp_path, text)
    assert named in str(refused.value)
    assert str(refused.value).startswith("WAGGLE_NOTIFY: ")
    assert "word@" not in str(refused.value)


def test_a_missing_secret_or_mail_server_is_named(tmp_path):
    found = policy(tmp_path, CHANNEL + HOOK + 'url = "https://example.org/x"')
    with pytest.raises(Misconfigured, match="WAGGLE_NOTIFY_SECRETS has no entry `hook`"):
        way_of("hook", found.channels["hook"], NotifySettings())
    with pytest.raises(Misconfigured, match="WAGGLE_SMTP"):
        way_of("ops", found.channels["ops"], NotifySettings())


def subscribed(tmp_path, filters: str, fact: Fact) -> bool:
    events = '[[subscriptions]]\nevents = ["question", "budget"]\nchannels = ["ops"]\n'
    return policy(tmp_path, CHANNEL + events + filters).channels_for(fact) == ["ops"]


QUESTION = frozenset({About.QUESTION})


@pytest.mark.parametrize(
    ("filters", "fact", "wanted"),
    [
        ("", Fact(QUESTION), True),
        ("", Fact(frozenset({About.FAILED})), False),
        ("", Fact(frozenset({About.FAILED, About.BUDGET})), True),
        ('tenants = ["shop"]', Fact(QUESTION, "shop"), True),
        ('tenants = ["shop"]', Fact(QUESTION, "other"), False),
        ('tenants = ["shop"]', Fact(QUESTION, None), False),
        ('groups = ["sales"]', Fact(QUESTION, groups=("sales", "it")), True),
        ('groups = ["sales"]', Fact(QUESTION, groups=("it",)), False),
        ('groups = ["sales"]', Fact(QUESTION, groups=()), True),
        ('groups = ["sales"]', Fact(frozenset({About.BUDGET}), groups=None), False),
        ('agents = ["data"]', Fact(QUESTION, agent="data"), True),
        ('agents = ["data"]', Fact(QUESTION, agent=None), False),
        ('task_types = ["incident"]', Fact(QUESTION, task_type="incident"), True),
        ('task_types = ["incident"]', Fact(QUESTION, task_type="report"), False),
        ('min_risk = "high"', Fact(QUESTION, risk=Risk.CRITICAL), True),
        ('min_risk = "high"', Fact(QUESTION, risk=Risk.MEDIUM), False),
        ('min_risk = "high"', Fact(QUESTION, risk=None), False),
    ],
)
def test_a_subscription_selects_by_every_filter(tmp_path, filters, fact, wanted):
    assert subscribed(tmp_path, filters, fact) is wanted


def test_a_channel_that_several_subscriptions_name_is_used_once(tmp_path):
    twice = 2 * '[[subscriptions]]\nevents = ["question"]\nchannels = ["ops", "ops"]\n'
    assert policy(tmp_path, CHANNEL + twice).channels_for(Fact(QUESTION)) == ["ops"]


BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Quiet.model_validate({"from": "22:00", "to": "07:00", "zone": "Europe/Berlin"})


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ((2026, 11, 29, 21, 59), None),
        ((2026, 11, 29, 22, 0), (2026, 11, 30, 7, 0)),
        ((2026, 11, 30, 0, 30), (2026, 11, 30, 7, 0)),
        ((2026, 11, 30, 7, 0), None),
        ((2026, 3, 28, 23, 0), (2026, 3, 29, 7, 0)),  # the clocks are set forward in that night
        ((2026, 10, 24, 23, 0), (2026, 10, 25, 7, 0)),  # and back in that one
    ],
)
def test_quiet_hours_over_midnight_end_at_the_hour_of_their_zone(now, until):
    expected = datetime(*until, tzinfo=BERLIN) if until else None
    assert NIGHT.until(datetime(*now, tzinfo=BERLIN).astimezone(UTC)) == expected


def test_quiet_hours_of_the_same_day():
    noon = Quiet.model_validate({"from": "12:00", "to": "13:00"})
    assert noon.until(datetime(2026, 1, 1, 12, 30, tzinfo=UTC)) == datetime(2026, 1, 1, 13, 0, tzinfo=UTC)
    assert noon.until(datetime(2026, 1, 1, 13, 0, tzinfo=UTC)) is None


def test_digests_of_all_replicas_end_together(tmp_path):
    found = policy(tmp_path, CHANNEL + 'digest = "15m"').channels["ops"].digest
    ends = {window_end(datetime(2026, 1, 1, 12, minute, 7, tzinfo=UTC), found) for minute in range(30, 45)}
    assert ends == {datetime(2026, 1, 1, 12, 45, tzinfo=UTC)}
