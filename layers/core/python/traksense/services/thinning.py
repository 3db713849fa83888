"""Fewer rows that look the same: Largest-Triangle-Three-Buckets.

Source: Sveinn Steinarsson, "Downsampling Time Series for Visual Representation", University of
Iceland, 2013, section 4.2. The first and the last row stay; the rows between are split into
buckets of equal count, and of each one stays: the one that spans the largest triangle with the
row kept before it and with the mean of the bucket after it.
"""

from __future__ import annotations

from collections.abc import Sequence


def largest_triangles(times: Sequence[int], values: Sequence[float], most: int) -> list[int]:
    """The indexes, ascending, of the rows that stay: ``most`` of them, or all if there are fewer.

    ``times`` in any unit, ascending. Raises ValueError for ``most`` below 1.
    """
    count = len(times)
    if most < 1:
        raise ValueError(f"at least one row must stay, not {most}")
    if count <= most:
        return list(range(count))
    if most < 3:
        return [0, count - 1][:most]
    origin = times[0]
    xs = [float(time - origin) for time in times]
    ys = list(values)
    every = (count - 2) / (most - 2)
    # Bucket i holds the rows from bounds[i] to before bounds[i + 1].
    bounds = [int(i * every) + 1 for i in range(most - 1)]
    bounds[-1] = count - 1
    kept = [0]
    last = 0
    for i in range(most - 2):
        start, end = bounds[i], bounds[i + 1]
        after = bounds[i + 2] if i + 2 < len(bounds) else count
        mean_x = sum(xs[end:after]) / (after - end)
        mean_y = sum(ys[end:after]) / (after - end)
        last_x, last_y = xs[last], ys[last]
        run, rise = last_x - mean_x, mean_y - last_y
        # Twice the triangle's area: only which is largest counts, and of equals the first.
        areas = [
            abs(run * (y - last_y) - (last_x - x) * rise)
            for x, y in zip(xs[start:end], ys[start:end], strict=True)
        ]
        last = start + areas.index(max(areas))
        kept.append(last)
    kept.append(count - 1)
    return kept


def keep_extremes(kept: list[int], low: Sequence[float], high: Sequence[float]) -> list[int]:
    """The same number of rows, the lowest ``low`` and the highest ``high`` of all among them.

    For rollups, which are thinned by their averages: without it the peak of the whole range may
    go with a bucket whose average is like its neighbours'. Each comes in for the nearest row
    that is neither an end nor the other extreme.
    """
    wanted = {low.index(min(low)), high.index(max(high))}
    stay = set(kept)
    fixed = {kept[0], kept[-1]} | wanted
    for index in sorted(wanted - stay):
        free = [row for row in stay if row not in fixed]
        if free:
            stay.discard(min(free, key=lambda row: (abs(row - index), row)))
            stay.add(index)
    return sorted(stay)
