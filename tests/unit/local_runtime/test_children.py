from __future__ import annotations

import sys
from pathlib import Path

from local.children import AWS, CHILDREN, specs
from local.environment import RunFacts
from tests.support.run_facts import FACTS
from traksense.contracts.functions import API, MAINTENANCE, RETENTION_ENVIRONMENT
from traksense.contracts.queues import QUEUES
from traksense.contracts.schedules import SCHEDULES

INHERITED = {
    "PATH": "/bin",
    "AWS_PROFILE": "production",
    "AWS_SESSION_TOKEN": "token",
    "PGPASSWORD": "theirs",
    "DATABASE_URL": "postgresql://admin@db/x",
    "TRAKSENSE_DEMO": "1",
}


def environments() -> dict[str, dict[str, str]]:
    return {spec.name: dict(spec.environment) for spec in specs(CHILDREN, FACTS, INHERITED)}


def test_each_queue_has_a_worker_with_the_log_in_of_its_function() -> None:
    found = environments()
    for queue in QUEUES:
        url = found[f"worker.{queue.name}"]["DATABASE_URL"]
        assert url == FACTS.logins[queue.function]


def test_no_child_gets_the_administrators_database_or_a_persons_aws_account() -> None:
    for name, environment in environments().items():
        assert environment.get("DATABASE_URL") != INHERITED["DATABASE_URL"], name
        assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "PGPASSWORD"} & set(environment), name
        assert environment.get("AWS_ACCESS_KEY_ID", "LOCAL1") == "LOCAL1", name
        assert environment["PATH"] == "/bin", name


def test_what_is_kept_how_long_reaches_whoever_drops_and_whoever_shows_it() -> None:
    chosen = {name: str(40 + n) for n, name in enumerate(RETENTION_ENVIRONMENT)}
    found = {spec.name: spec.environment for spec in specs(CHILDREN, FACTS, INHERITED | chosen)}
    for child, function in (("scheduler", MAINTENANCE), ("gateway", API)):
        wanted = {name: chosen[name] for name in function.environment if name in chosen}
        assert len(wanted) >= 4
        assert found[child].items() >= wanted.items()
    assert not any(name in environments()["gateway"] for name in RETENTION_ENVIRONMENT)


def test_the_scheduler_may_do_what_its_schedules_need() -> None:
    (scheduler,) = [plan for plan in CHILDREN if plan.name == "scheduler"]
    assert {schedule.function for schedule in SCHEDULES} == {scheduler.login}


def test_only_the_demo_may_be_missing() -> None:
    optional = {spec.name for spec in specs(CHILDREN, FACTS, {}) if not spec.essential}
    assert optional == {plan.name for plan in CHILDREN if plan.demo}


def test_the_emulator_starts_before_log_ins_are_known() -> None:
    (spec,) = specs((AWS,), RunFacts(Path("/h"), 1, 2, 3, "a", "b", FACTS.pool, "INFO"), {})
    assert "DATABASE_URL" not in spec.environment


def test_a_child_is_a_module_of_this_interpreter() -> None:
    commands = {spec.name: spec.command for spec in specs(CHILDREN, FACTS, {})}
    assert commands["worker.ingest"] == (sys.executable, "-m", "local.worker", "ingest")
    assert commands["device_sim"][-1] == "/home/acme/endpoints.json"


def test_secrets_are_not_shown_by_accident() -> None:
    assert "s3cret" not in repr(FACTS)
    assert "postgresql://" not in repr(FACTS)
