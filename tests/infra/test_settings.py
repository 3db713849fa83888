"""What cdk.json may hold, and what is said where it holds something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra_cdk.settings import CDK_JSON, SettingsError, context_of_file, read


def changed(path: str, value: Any, stage: str = "dev") -> dict[str, Any]:
    """The context with one key of a stage set to something else."""
    context = context_of_file(stage=stage)
    *folders, key = path.split(".")
    place = context["stages"][stage]
    for folder in folders:
        place = place[folder]
    place[key] = value
    return context


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_every_stage_of_the_file_can_be_read(stage: str) -> None:
    settings = read(context_of_file(stage=stage))
    assert settings.stage == stage
    assert settings.stack_id("data") == f"traksense-{stage}-data"


def test_the_file_makes_dev_where_nothing_is_said() -> None:
    assert read(context_of_file()).stage == "dev"


def test_prod_keeps_what_it_holds_and_bounds_what_connects() -> None:
    prod = read(context_of_file(stage="prod"))
    assert prod.keep_data
    assert prod.functions.reserve_concurrency
    assert prod.database.rds.multi_az
    assert prod.database.rds.backup_days == 35


@pytest.mark.parametrize("kind", ["rds", "aurora", "external"])
def test_the_database_is_chosen_on_the_command_line(kind: str) -> None:
    assert read(context_of_file(database=kind)).database.kind == kind


@pytest.mark.parametrize(
    ("kind", "has_proxy"), [("rds", True), ("aurora", True), ("external", False)]
)
def test_whether_there_is_a_proxy_is_said_by_the_kind_that_is_chosen(
    kind: str, has_proxy: bool
) -> None:
    assert read(context_of_file(stage="prod", database=kind)).database.has_proxy is has_proxy


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("keep_data", "yes", "stages.dev.keep_data: Input should be a valid boolean"),
        ("api.burst", "100", "stages.dev.api.burst: Input should be a valid integer"),
        ("api.burst", 0, "stages.dev.api.burst: Input should be greater than 0"),
        ("api.brust", 1, "stages.dev.api.brust: Unexpected keyword argument"),
        ("api", None, "stages.dev.api: "),
        ("odd", {}, "stages.dev.odd: Unexpected keyword argument"),
        ("network.cidr", "10.0.0.0/8", "stages.dev.network.cidr: must be between"),
        ("network.cidr", "10.0.0.1/16", "stages.dev.network.cidr: 10.0.0.1/16 has host bits set"),
        ("network.egress", "none", "stages.dev.network.egress: Input should be 'nat_instance'"),
        ("database.kind", "mysql", "stages.dev.database.kind: Input should be 'rds'"),
        ("database.name", "a;b", "stages.dev.database.name: "),
        ("database.connections", 5, "stages.dev.database.connections: "),
        ("database.rds.instance_type", "db.t4g.micro", "database.rds.instance_type: "),
        ("database.rds.most_storage_gb", 20 - 1, "database.rds.most_storage_gb: "),
        ("database.rds.storage_gb", 51, "database.rds.most_storage_gb: less than storage_gb"),
        ("database.rds.most_storage_gb", 21, "database.rds.most_storage_gb: less than storage_gb"),
        (
            "web.domain",
            {"name": "acme.example", "certificate_arn": "arn:aws:acm:sa-east-1:1:certificate/a"},
            "stages.dev.web.domain.certificate_arn: CloudFront takes one of us-east-1 alone",
        ),
        ("database.aurora.least_acu", 0.3, "database.aurora.least_acu: "),
        ("database.aurora.least_acu", 8, "database.aurora.most_acu: less than least_acu"),
        ("functions.log_retention_days", 8, "functions.log_retention_days: "),
        ("mail.sender", "nobody", "stages.dev.mail.sender: "),
        ("stage", "other", "context: stages.dev"),
    ],
)
def test_a_key_that_cannot_be_is_named(path: str, value: Any, said: str) -> None:
    if path == "stage":  # the name is the key above, so that it may not stand here too
        context = context_of_file()
        context["stages"]["dev"] = None
    else:
        context = changed(path, value)
    with pytest.raises(SettingsError) as error:
        read(context)
    assert said in str(error.value)


def test_every_missing_key_is_named_at_once() -> None:
    context = context_of_file()
    del context["stages"]["dev"]["mail"]["sender"]
    del context["stages"]["dev"]["users"]
    with pytest.raises(SettingsError) as error:
        read(context)
    assert "stages.dev.mail.sender: Field required" in str(error.value)
    assert "stages.dev.users: Field required" in str(error.value)


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ({}, "stages is missing"),
        ({"stages": {"dev": {}}}, "stage is None"),
        ({"stages": {"dev": {}}, "stage": "test"}, "stage is 'test': it must be one of dev"),
        (context_of_file(database="mysql"), "database is 'mysql'"),
    ],
)
def test_a_choice_that_there_is_not_is_named(context: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read(context)


def test_a_stage_is_named_shortly_because_names_in_aws_have_an_end() -> None:
    context = context_of_file()
    context["stages"]["A-stage-of-some-length"] = context["stages"]["dev"]
    with pytest.raises(SettingsError, match="pattern"):
        read({**context, "stage": "A-stage-of-some-length"})


def test_a_database_that_sleeps_has_no_proxy() -> None:
    context = changed("database.aurora.least_acu", 0)
    assert read({**context, "database": "aurora"}).database.aurora.least_acu == 0
    context["stages"]["dev"]["database"]["aurora"]["proxy"] = True
    assert read(context).database.kind == "rds"
    with pytest.raises(SettingsError, match=r"stages\.dev\.database\.aurora\.proxy"):
        read({**context, "database": "aurora"})


def test_the_context_is_read_from_a_file_as_the_command_reads_it(tmp_path: Path) -> None:
    copy = tmp_path / "cdk.json"
    copy.write_text(json.dumps({"app": "x", "context": {"stage": "dev"}}))
    assert context_of_file(copy, stage="prod") == {"stage": "prod"}
    assert context_of_file() == json.loads(CDK_JSON.read_text())["context"]
