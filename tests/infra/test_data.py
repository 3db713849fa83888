"""The database of a stage: what is made, who gets in, and when it is migrated."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra_cdk.app import build
from infra_cdk.concurrency import TooFewConnections
from infra_cdk.constructs.database import KEPT_FREE, IamAccess, SecretAccess
from infra_cdk.constructs.function import PlatformFunction
from infra_cdk.places import Places
from infra_cdk.settings import StageSettings
from infra_cdk.stacks.data import DataStack, digest_of, limits
from infra_cdk.stacks.network import NetworkStack
from tests.infra.stages import app, of_type, settings, stub_packages
from traksense.contracts import functions
from traksense.contracts.functions import FUNCTIONS

Template = dict[str, Any]


def templates(chosen: StageSettings, folder: Path) -> tuple[Template, Template]:
    """The data stack's, and that of a stack with one function, which has the database."""
    made = app()
    packages = stub_packages(folder)
    network = NetworkStack(made, chosen)
    data = DataStack(made, chosen, network, packages, Places())
    # In a stack of its own, as functions are.
    other = NetworkStack(made, replace(chosen, stage="other"))
    PlatformFunction(
        other,
        functions.INGEST,
        settings=chosen,
        packages=packages,
        places=Places(),
        network=network,
        database=data.access,
    )
    assembly = made.synth()
    return (
        assembly.get_stack_by_name(data.stack_name).template,
        assembly.get_stack_by_name(other.stack_name).template,
    )


def one(template: Template, kind: str) -> Template:
    (found,) = of_type(template, kind).values()
    properties: Template = found["Properties"]
    return properties


def statements(template: Template, action: str) -> list[Template]:
    return [
        statement
        for policy in of_type(template, "AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if action in statement["Action"]
    ]


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> tuple[Template, Template]:
    return templates(settings("prod"), tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> tuple[Template, Template]:
    return templates(settings("dev"), tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def external(tmp_path_factory: pytest.TempPathFactory) -> tuple[Template, Template]:
    chosen = settings("prod", database="external")
    elsewhere = replace(
        chosen.database.external,
        private_endpoint_service="com.amazonaws.vpce.sa-east-1.vpce-svc-0123456789abcdef0",
    )
    chosen = replace(chosen, database=replace(chosen.database, external=elsewhere))
    return templates(chosen, tmp_path_factory.mktemp("packages"))


def test_prods_database_is_encrypted_protected_and_restorable_for_five_weeks(
    prod: tuple[Template, Template],
) -> None:
    (instance,) = of_type(prod[0], "AWS::RDS::DBInstance").values()
    assert instance["DeletionPolicy"] == "RetainExceptOnCreate"
    assert instance["UpdateReplacePolicy"] == "Retain"
    properties = instance["Properties"]
    assert properties["MultiAZ"] is True
    assert properties["StorageEncrypted"] is True
    assert properties["DeletionProtection"] is True
    assert properties["DeleteAutomatedBackups"] is False
    assert properties["BackupRetentionPeriod"] == 35
    assert properties["EnablePerformanceInsights"] is True
    assert properties["PubliclyAccessible"] is False
    assert properties["MaxAllocatedStorage"] > int(properties["AllocatedStorage"])


@pytest.mark.parametrize("kind", ["rds", "aurora"])
def test_what_a_kept_database_uses_is_kept_with_it(kind: str, tmp_path: Path) -> None:
    data, _ = templates(settings("prod", database=kind), tmp_path)
    uses = [
        resource
        for resource in data["Resources"].values()
        if resource["Type"].startswith("AWS::RDS::") and "Proxy" not in resource["Type"]
    ]
    assert len(uses) >= 3
    for each in uses:
        assert each["DeletionPolicy"] == "RetainExceptOnCreate", each["Type"]
        assert each["UpdateReplacePolicy"] == "Retain", each["Type"]


def test_devs_database_goes_with_its_stack(dev: tuple[Template, Template]) -> None:
    (instance,) = of_type(dev[0], "AWS::RDS::DBInstance").values()
    assert instance["DeletionPolicy"] == "Delete"
    assert instance["Properties"]["MultiAZ"] is False
    assert not of_type(dev[0], "AWS::RDS::DBProxy")


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_nobody_talks_to_it_in_the_clear_and_no_password_is_in_the_template(
    stage: str, request: pytest.FixtureRequest
) -> None:
    template = request.getfixturevalue(stage)[0]
    parameters = one(template, "AWS::RDS::DBParameterGroup")["Parameters"]
    assert parameters["rds.force_ssl"] == "1"
    assert parameters["max_connections"] == str(settings(stage).database.connections)
    instance = one(template, "AWS::RDS::DBInstance")
    assert instance["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in instance
    assert instance["EnableIAMDatabaseAuthentication"] is True
    assert instance["CACertificateIdentifier"] == "rds-ca-rsa2048-g1"


def test_its_logs_end_as_those_of_functions_do(prod: tuple[Template, Template]) -> None:
    instance = one(prod[0], "AWS::RDS::DBInstance")
    kept = {
        each["Properties"]["LogGroupName"]: each["Properties"]["RetentionInDays"]
        for each in of_type(prod[0], "AWS::Logs::LogGroup").values()
    }
    for name in instance["EnableCloudwatchLogsExports"]:
        assert kept[f"/aws/rds/instance/{instance['DBInstanceIdentifier']}/{name}"] == 90


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_function_logs_in_as_itself_alone_and_is_told_no_secret(
    stage: str, request: pytest.FixtureRequest
) -> None:
    _, template = request.getfixturevalue(stage)
    variables = one(template, "AWS::Lambda::Function")["Environment"]["Variables"]
    assert variables["TRAKSENSE_DATABASE_AUTH"] == "rds-iam"
    url = str(variables["DATABASE_URL"])
    assert "postgresql://traksense_login_ingest@" in url
    assert "sslmode=verify-full" in url
    (statement,) = statements(template, "rds-db:connect")
    assert str(statement["Resource"]).count("traksense_login_") == 1
    assert "/traksense_login_ingest" in str(statement["Resource"])
    assert statement["Resource"] != "*"


def test_functions_reach_prods_database_by_the_proxy_and_a_migration_past_it(
    prod: tuple[Template, Template],
) -> None:
    data, function = prod
    proxy = one(data, "AWS::RDS::DBProxy")
    assert proxy["RequireTLS"] is True
    assert proxy["DefaultAuthScheme"] == "IAM_AUTH"
    assert "Auth" not in proxy, "no secret lies between"
    assert "Proxy" in str(
        one(function, "AWS::Lambda::Function")["Environment"]["Variables"]["DATABASE_URL"]
    )
    migration = one(data, "AWS::Lambda::Function")["Environment"]["Variables"]
    assert "DatabaseInstance" in str(migration["DATABASE_URL"])
    assert "Proxy" not in str(migration["DATABASE_URL"])


def test_the_proxy_logs_in_as_each_function_and_as_nobody_else(
    prod: tuple[Template, Template],
) -> None:
    (statement,) = statements(prod[0], "rds-db:connect")
    logins = set(re.findall(r":dbuser:\*/(\w+)'", str(statement["Resource"])))
    assert logins == {f"traksense_login_{f.name}" for f in FUNCTIONS if f.database_roles}
    assert len(statement["Resource"]) == len(logins)


def test_a_restored_database_under_the_old_name_lets_functions_and_the_proxy_in(
    dev: tuple[Template, Template], prod: tuple[Template, Template]
) -> None:
    for template in (*dev, *prod):
        for statement in statements(template, "rds-db:connect"):
            # Its resource id is another one, which no policy may go by.
            assert ":dbuser:*/traksense_login_" in str(statement["Resource"])
            assert "ResourceId" not in str(statement["Resource"])


def test_a_proxy_can_be_put_before_the_database_and_taken_away(
    dev: tuple[Template, Template], prod: tuple[Template, Template]
) -> None:
    def exported(template: Template) -> set[str]:
        return {
            each["Export"]["Name"].partition(":")[2]
            for each in template["Outputs"].values()
            if "Export" in each
        }

    with_proxy, without = exported(prod[0]), exported(dev[0])
    assert without < with_proxy, "what functions import is there until they import something else"
    assert any("EndpointAddress" in name for name in without)


def test_the_proxys_log_ends_as_well(prod: tuple[Template, Template]) -> None:
    groups = of_type(prod[0], "AWS::Logs::LogGroup")
    (name,) = [
        key
        for key, each in groups.items()
        if each["Properties"]["LogGroupName"] == "/aws/rds/proxy/traksense-prod"
    ]
    (proxy,) = of_type(prod[0], "AWS::RDS::DBProxy").values()
    assert name in proxy["DependsOn"]


def test_the_migration_waits_for_its_function_and_database_and_changes_with_the_sql(
    prod: tuple[Template, Template],
) -> None:
    (resource,) = of_type(prod[0], "Custom::TrakSenseSchema").values()
    assert resource["DeletionPolicy"] == "Retain"
    for kind in ("AWS::RDS::DBInstance", "AWS::Lambda::Function", "AWS::IAM::Policy"):
        assert of_type(prod[0], kind).keys() & set(resource["DependsOn"]), kind
    properties = resource["Properties"]
    assert re.fullmatch("[0-9a-f]{64}", properties["Sql"])
    assert properties["Roles"]["api"] == ["traksense_app", "traksense_ops"]
    assert properties["Connections"].keys() == properties["Roles"].keys()
    assert int(properties["ServiceTimeout"]) > functions.MIGRATE.timeout_s
    function = one(prod[0], "AWS::Lambda::Function")
    assert function["VpcConfig"]["SubnetIds"]
    assert "ReservedConcurrentExecutions" not in function


def test_the_digest_tells_any_change_of_a_file_or_a_name(tmp_path: Path) -> None:
    (tmp_path / "migrations").mkdir()
    first = tmp_path / "migrations" / "0001_a.sql"
    first.write_text("SELECT 1;")
    (tmp_path / "README.md").write_text("not SQL")
    seen = {digest_of(tmp_path)}
    (tmp_path / "README.md").write_text("still not")
    assert digest_of(tmp_path) in seen
    first.write_text("SELECT 2;")
    seen.add(digest_of(tmp_path))
    first.rename(tmp_path / "migrations" / "0002_a.sql")
    seen.add(digest_of(tmp_path))
    (tmp_path / "roles.sql").write_text("")
    seen.add(digest_of(tmp_path))
    assert len(seen) == 4


@pytest.mark.parametrize("total", [60, 180, 1000])
def test_no_log_in_may_take_what_the_others_need(total: int) -> None:
    found = limits(total)
    assert found.keys() == {each.name for each in FUNCTIONS if each.database_roles}
    for function in FUNCTIONS:
        if function.max_concurrency is not None and function.database_roles:
            assert found[function.name] >= function.max_concurrency
    others = sum(f.max_concurrency or 0 for f in FUNCTIONS if f.database_roles)
    assert found["api"] + others <= total


def test_a_stage_with_too_few_connections_is_not_made(tmp_path: Path) -> None:
    chosen = settings("dev")
    small = replace(chosen, database=replace(chosen.database, connections=40))
    with pytest.raises(TooFewConnections):
        build(app(), small, stub_packages(tmp_path))


def test_aurora_grows_within_its_bounds_and_has_a_standby_as_large_as_the_writer(
    tmp_path: Path,
) -> None:
    data, function = templates(settings("prod", database="aurora"), tmp_path)
    cluster = one(data, "AWS::RDS::DBCluster")
    assert cluster["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 2, "MaxCapacity": 32}
    assert cluster["StorageEncrypted"] is True
    assert cluster["DeletionProtection"] is True
    assert cluster["EnableIAMDatabaseAuthentication"] is True
    assert cluster["BackupRetentionPeriod"] == 35
    tiers = {
        each["Properties"]["PromotionTier"]: each["Properties"]["DBInstanceClass"]
        for each in of_type(data, "AWS::RDS::DBInstance").values()
    }
    assert tiers == {0: "db.serverless", 1: "db.serverless"}
    assert one(data, "AWS::RDS::DBProxyTargetGroup")["DBClusterIdentifiers"]
    assert statements(function, "rds-db:connect")


def test_aurora_may_sleep_where_nothing_keeps_it_awake(tmp_path: Path) -> None:
    chosen = settings("dev", database="aurora")
    sleepy = replace(chosen.database.aurora, least_acu=0)
    chosen = replace(chosen, database=replace(chosen.database, aurora=sleepy))
    data, _ = templates(chosen, tmp_path)
    assert one(data, "AWS::RDS::DBCluster")["ServerlessV2ScalingConfiguration"] == {
        "MinCapacity": 0, "MaxCapacity": 2, "SecondsUntilAutoPause": 600,
    }  # fmt: skip
    assert not of_type(data, "AWS::RDS::DBProxy")


def test_a_database_elsewhere_gets_a_secret_for_each_log_in_and_none_of_its_own_is_made(
    external: tuple[Template, Template],
) -> None:
    data, function = external
    secrets = of_type(data, "AWS::SecretsManager::Secret")
    templates_of = [
        each["Properties"]["GenerateSecretString"]["SecretStringTemplate"]
        for each in secrets.values()
    ]
    assert sorted(templates_of) == sorted(
        f'{{"username":"traksense_login_{each.name}"}}' for each in FUNCTIONS if each.database_roles
    )
    assert not of_type(data, "AWS::RDS::DBInstance")
    variables = one(function, "AWS::Lambda::Function")["Environment"]["Variables"]
    assert "DatabaseLoginingest" in str(variables["TRAKSENSE_DATABASE_AUTH"])
    (allowed,) = statements(function, "secretsmanager:GetSecretValue")
    assert "DatabaseLoginingest" in str(allowed["Resource"])
    resource = one(data, "Custom::TrakSenseSchema")
    assert resource["Secrets"].keys() == resource["Connections"].keys()


def test_each_log_in_elsewhere_gets_a_new_password_by_the_clock_and_once_it_is_there(
    external: tuple[Template, Template],
) -> None:
    data, _ = external
    schedules = of_type(data, "AWS::SecretsManager::RotationSchedule")
    secrets = of_type(data, "AWS::SecretsManager::Secret")
    assert {each["Properties"]["SecretId"]["Ref"] for each in schedules.values()} == secrets.keys()
    (rotate,) = [
        name
        for name, each in of_type(data, "AWS::Lambda::Function").items()
        if each["Properties"]["FunctionName"] == "traksense-prod-rotate"
    ]
    (migrated,) = of_type(data, "Custom::TrakSenseSchema")
    (allowed,) = of_type(data, "AWS::Lambda::Permission")
    for schedule in schedules.values():
        properties = schedule["Properties"]
        assert properties["RotationRules"] == {"AutomaticallyAfterDays": 30}
        assert properties["RotateImmediatelyOnUpdate"] is False
        assert properties["RotationLambdaARN"] == {"Fn::GetAtt": [rotate, "Arn"]}
        assert {migrated, allowed} <= set(schedule["DependsOn"])


def test_who_changes_passwords_may_touch_the_log_ins_secrets_and_never_the_administrators(
    external: tuple[Template, Template],
) -> None:
    data, _ = external
    (permission,) = of_type(data, "AWS::Lambda::Permission").values()
    assert permission["Properties"]["Principal"] == "secretsmanager.amazonaws.com"
    assert permission["Properties"]["SourceAccount"] == {"Ref": "AWS::AccountId"}
    (policy,) = [
        each["Properties"]["PolicyDocument"]["Statement"]
        for name, each in of_type(data, "AWS::IAM::Policy").items()
        if name.startswith("RotationRotate")
    ]
    (secrets,) = [each for each in policy if "secretsmanager" in str(each["Action"])]
    assert len(secrets["Resource"]) == len(of_type(data, "AWS::SecretsManager::Secret"))
    assert all("Ref" in each for each in secrets["Resource"]), "secrets of this stack alone"
    assert statements(data, "secretsmanager:PutSecretValue") == [secrets]


def test_a_private_endpoint_answers_under_the_name_that_its_certificate_is_for(
    external: tuple[Template, Template],
) -> None:
    data, _ = external
    endpoint = one(data, "AWS::EC2::VPCEndpoint")
    assert endpoint["VpcEndpointType"] == "Interface"
    assert endpoint["PrivateDnsEnabled"] is False
    host = settings("prod").database.external.host
    assert one(data, "AWS::Route53::HostedZone")["Name"] == f"{host}."
    record = one(data, "AWS::Route53::RecordSet")
    assert record["Name"] == f"{host}."
    assert record["AliasTarget"]


def test_functions_get_what_the_database_takes_less_what_is_kept_free(tmp_path: Path) -> None:
    for kind, of in (("rds", IamAccess), ("external", SecretAccess)):
        platform = build(app(), settings("prod", database=kind), stub_packages(tmp_path))
        assert isinstance(platform.data.access, of)
        assert platform.data.access.connections == 200 - KEPT_FREE
