"""Metrics of CloudWatch, the platform's own and those of AWS."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from traksense.contracts.metrics import NAMESPACE, Metric

MINUTE: Final = Duration.minutes(1)
FIVE_MINUTES: Final = Duration.minutes(5)


def own(
    metric: Metric,
    function: str,
    *,
    statistic: str,
    period: Duration = FIVE_MINUTES,
    label: str | None = None,
) -> cloudwatch.Metric:
    """A metric that a function writes itself, of one value of its label where it has one.

    Raises ValueError for a label too many or too few.
    """
    if (metric.label is None) is not (label is None):
        raise ValueError(f"{metric.name} has the label {metric.label}, not {label!r}")
    dimensions = {"service": function}
    if metric.label is not None and label is not None:
        dimensions[metric.label] = label
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=metric.name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=period,
        label=f"{metric.name} {label or ''}".strip(),
    )


def own_of_all_labels(
    metric: Metric, function: str, *, period: Duration = FIVE_MINUTES
) -> cloudwatch.MathExpression:
    """The sum of a counter over all values of its label. Raises ValueError if it has none.

    By a query, since an alarm takes no SEARCH (CloudWatch user guide, "Metrics Insights").
    """
    if metric.label is None:
        raise ValueError(f"{metric.name} has no label")
    return cloudwatch.MathExpression(
        expression=(
            f'SELECT SUM({metric.name}) FROM SCHEMA("{NAMESPACE}", {metric.label}, service) '  # noqa: S608 - names of ours
            f"WHERE service = '{function}'"
        ),
        using_metrics={},
        period=period,
        label=metric.name,
    )


def by_label(metric: Metric, function: str, statistic: str) -> cloudwatch.MathExpression:
    """A line for each value of a metric's label, for a graph."""
    return cloudwatch.MathExpression(
        expression=(
            f"SEARCH('{{{NAMESPACE},{metric.label},service}} "
            f'MetricName="{metric.name}" service="{function}"\', \'{statistic}\', 300)'
        ),
        using_metrics={},
        period=FIVE_MINUTES,
        label="",
    )


def of_aws(
    namespace: str,
    name: str,
    dimensions: dict[str, str],
    *,
    statistic: str,
    period: Duration = FIVE_MINUTES,
    label: str | None = None,
) -> cloudwatch.Metric:
    """A metric that an AWS service writes."""
    return cloudwatch.Metric(
        namespace=f"AWS/{namespace}",
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=period,
        label=label,
    )


def percentage(
    part: cloudwatch.IMetric, whole: cloudwatch.IMetric, *, least: int
) -> cloudwatch.MathExpression:
    """How much of a hundred; nothing as long as the whole is less than ``least``."""
    return cloudwatch.MathExpression(
        expression=f"IF(whole >= {least}, 100 * part / whole, 0)",
        using_metrics={"part": part, "whole": whole},
        period=FIVE_MINUTES,
        label="%",
    )
