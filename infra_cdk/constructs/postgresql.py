"""PostgreSQL that AWS keeps: one instance on RDS, or Aurora Serverless v2; each with RDS Proxy."""

from __future__ import annotations

from typing import Final

from aws_cdk import CfnResource, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra_cdk.acknowledged import acknowledge
from infra_cdk.constructs.database import (
    KEPT_FREE,
    OF_AWS,
    Address,
    IamAccess,
    connect_as,
)
from infra_cdk.constructs.function import retention_of
from infra_cdk.constructs.removal import removal
from infra_cdk.places import DatabaseAccess
from infra_cdk.settings import StageSettings
from infra_cdk.stacks.network import POSTGRESQL, NetworkStack
from traksense.contracts.functions import FUNCTIONS

ADMINISTRATOR: Final = "traksense_admin"

_AUTHORITY: Final = rds.CaCertificate.RDS_CA_RSA2048_G1
"""The one that ``database-authorities.pem`` has for each region."""
_MOST_OF_THE_CONNECTIONS: Final = 90
"""Per cent that the proxy may take: the rest is a migration's and people's."""

_BEHIND_A_GROUP: Final = "it has no address outside, and only functions are let in to the port"
_MAY_GO: Final = "the stage's data may go with the stage: keep_data is false"


def parameters(settings: StageSettings) -> dict[str, str]:
    """What differs from the defaults of RDS, above all how many connections there are."""
    return {
        "max_connections": str(settings.database.connections),
        "rds.force_ssl": "1",
        "shared_preload_libraries": "pg_stat_statements",
        "log_min_duration_statement": "1000",
        "log_lock_waits": "1",
        # A container that vanished frees its connection within a minute and a half.
        "tcp_keepalives_idle": "60",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
    }


class RdsDatabase(Construct):
    """One instance, with a standby in another zone where the stage has one."""

    def __init__(
        self, scope: Construct, construct_id: str, settings: StageSettings, network: NetworkStack
    ) -> None:
        super().__init__(scope, construct_id)
        database, rds_ = settings.database, settings.database.rds
        name = name_of(settings)
        logged = _logs(self, settings, f"/aws/rds/instance/{name}", "postgresql", "upgrade")
        self.instance: Final = rds.DatabaseInstance(
            self,
            "Instance",
            instance_identifier=name,
            engine=rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_17_9),
            instance_type=ec2.InstanceType(rds_.instance_type),
            database_name=database.name,
            credentials=rds.Credentials.from_username(ADMINISTRATOR),
            manage_master_user_password=True,
            iam_authentication=True,
            vpc=network.vpc,
            vpc_subnets=network.database_subnets,
            security_groups=[group_of(self, network)],
            port=POSTGRESQL,
            multi_az=rds_.multi_az,
            storage_type=rds.StorageType.GP3,
            allocated_storage=rds_.storage_gb,
            max_allocated_storage=rds_.most_storage_gb,
            storage_encrypted=True,
            ca_certificate=_AUTHORITY,
            parameters=parameters(settings),
            backup_retention=Duration.days(rds_.backup_days),
            copy_tags_to_snapshot=True,
            delete_automated_backups=not settings.keep_data,
            deletion_protection=settings.keep_data,
            removal_policy=removal(keep=settings.keep_data),
            auto_minor_version_upgrade=True,
            enable_performance_insights=rds_.performance_insights,
            cloudwatch_logs_exports=["postgresql", "upgrade"],
        )
        self.instance.node.add_dependency(*logged)
        _keep_whole(self.instance, settings)
        acknowledge(self.instance, "RDS11", _BEHIND_A_GROUP)
        if not settings.keep_data:
            acknowledge(self.instance, "RDS10", _MAY_GO)
        if not rds_.multi_az:
            acknowledge(self.instance, "RDS3", "a stage that may be down while AWS mends it")
        assert self.instance.secret is not None  # RDS manages it
        self.administrator: Final[secretsmanager.ISecret] = self.instance.secret
        self.direct: Final = _address(self.instance.instance_endpoint.hostname, database.name)
        target = rds.ProxyTarget.from_instance(self.instance) if database.has_proxy else None
        self.access: Final = _access(self, settings, network, self.direct, target)


class AuroraDatabase(Construct):
    """A cluster that grows and shrinks, with its standbys as readers."""

    def __init__(
        self, scope: Construct, construct_id: str, settings: StageSettings, network: NetworkStack
    ) -> None:
        super().__init__(scope, construct_id)
        database, aurora = settings.database, settings.database.aurora
        sleeps = aurora.least_acu == 0
        name = name_of(settings)
        logged = _logs(self, settings, f"/aws/rds/cluster/{name}", "postgresql")
        self.cluster: Final = rds.DatabaseCluster(
            self,
            "Cluster",
            cluster_identifier=name,
            engine=rds.DatabaseClusterEngine.aurora_postgres(
                version=rds.AuroraPostgresEngineVersion.VER_17_9
            ),
            writer=_serverless("Writer", settings),
            readers=[
                _serverless(f"Reader{number}", settings, follows=True)
                for number in range(1, aurora.readers + 1)
            ],
            serverless_v2_min_capacity=aurora.least_acu,
            serverless_v2_max_capacity=aurora.most_acu,
            serverless_v2_auto_pause_duration=Duration.minutes(10) if sleeps else None,
            default_database_name=database.name,
            credentials=rds.Credentials.from_username(ADMINISTRATOR),
            manage_master_user_password=True,
            iam_authentication=True,
            vpc=network.vpc,
            vpc_subnets=network.database_subnets,
            security_groups=[group_of(self, network)],
            port=POSTGRESQL,
            storage_encrypted=True,
            parameters=parameters(settings),
            backup=rds.BackupProps(retention=Duration.days(aurora.backup_days)),
            copy_tags_to_snapshot=True,
            delete_automated_backups=not settings.keep_data,
            deletion_protection=settings.keep_data,
            removal_policy=removal(keep=settings.keep_data),
            cloudwatch_logs_exports=["postgresql"],
        )
        self.cluster.node.add_dependency(*logged)
        _keep_whole(self.cluster, settings)
        acknowledge(self.cluster, "RDS11", _BEHIND_A_GROUP)
        if not settings.keep_data:
            acknowledge(self.cluster, "RDS10", _MAY_GO)
        assert self.cluster.secret is not None  # RDS manages it
        self.administrator: Final[secretsmanager.ISecret] = self.cluster.secret
        self.direct: Final = _address(self.cluster.cluster_endpoint.hostname, database.name)
        target = rds.ProxyTarget.from_cluster(self.cluster) if database.has_proxy else None
        self.access: Final = _access(self, settings, network, self.direct, target)


def _keep_whole(database: Construct, settings: StageSettings) -> None:
    """What a database that is kept goes on using, which the CDK would have deleted: its instances,
    and the groups of its subnets and parameters.
    """
    for child in database.node.find_all():
        if CfnResource.is_cfn_resource(child):
            child.apply_removal_policy(removal(keep=settings.keep_data))


def _serverless(
    name: str, settings: StageSettings, *, follows: bool = False
) -> rds.IClusterInstance:
    """``follows``: as large as the writer at any time, so that it can take over."""
    chosen = {
        "auto_minor_version_upgrade": True,
        "ca_certificate": _AUTHORITY,
        "enable_performance_insights": settings.database.aurora.performance_insights,
    }
    if follows:
        return rds.ClusterInstance.serverless_v2(name, scale_with_writer=True, **chosen)
    return rds.ClusterInstance.serverless_v2(name, **chosen)


def _access(
    scope: Construct,
    settings: StageSettings,
    network: NetworkStack,
    direct: Address,
    target: rds.ProxyTarget | None,
) -> DatabaseAccess:
    """``target``: of a proxy before the database, where the stage has one."""
    most = settings.database.connections - KEPT_FREE
    # Exported whoever imports it: CloudFormation takes no export away that another stack imports
    # yet, and so a proxy could neither be put before a database nor be taken away.
    Stack.of(scope).export_value(direct.host)
    if target is None:
        return IamAccess(direct, most)
    proxy = _proxy(scope, settings, network, target)
    return IamAccess(_address(proxy.endpoint, settings.database.name), most)


def _proxy(
    scope: Construct,
    settings: StageSettings,
    network: NetworkStack,
    target: rds.ProxyTarget,
) -> rds.DatabaseProxy:
    """Functions prove themselves to it by their role, and it does so to the database, as the
    log-ins of functions and as nobody else: there is no secret in between.
    """
    role = iam.Role(
        scope,
        "ProxyRole",
        assumed_by=iam.ServicePrincipal("rds.amazonaws.com"),
        description="RDS Proxy: to log in to the database as the functions do",
    )
    functions = [function.name for function in FUNCTIONS if function.database_roles]
    role.add_to_policy(connect_as(Stack.of(scope), functions))
    proxy = rds.DatabaseProxy(
        scope,
        "Proxy",
        db_proxy_name=name_of(settings),
        role=role,
        proxy_target=target,
        vpc=network.vpc,
        vpc_subnets=network.database_subnets,
        security_groups=[group_of(scope, network)],
        default_auth_scheme=rds.DefaultAuthScheme.IAM_AUTH,
        iam_auth=True,
        require_tls=True,
        max_connections_percent=_MOST_OF_THE_CONNECTIONS,
        borrow_timeout=Duration.seconds(10),
    )
    proxy.node.add_dependency(*_logs(scope, settings, "/aws/rds/proxy", name_of(settings)))
    return proxy


def _logs(
    scope: Construct, settings: StageSettings, prefix: str, *names: str
) -> list[logs.LogGroup]:
    """Made before RDS makes them itself, which would keep them for ever."""
    return [
        logs.LogGroup(
            scope,
            f"Log-{name}",
            log_group_name=f"{prefix}/{name}",
            retention=retention_of(settings.functions.log_retention_days),
            removal_policy=removal(keep=settings.keep_data),
        )
        for name in names
    ]


def name_of(settings: StageSettings) -> str:
    """Of the instance, the cluster and the proxy. A change that would replace one fails by it,
    since there may not be two: nothing may replace a database without a person.
    """
    return f"traksense-{settings.stage}"


def group_of(scope: Construct, network: NetworkStack) -> ec2.ISecurityGroup:
    """The database's group, whose rules are the network's: the CDK would add its own to them, and
    with these the network would depend on what is in it.
    """
    found = scope.node.try_find_child("Group")
    return found or ec2.SecurityGroup.from_security_group_id(
        scope, "Group", network.database_security_group.security_group_id, mutable=False
    )


def _address(host: str, name: str) -> Address:
    return Address(host, POSTGRESQL, name, OF_AWS)
