-- Closing days: their readings move into one segment a point. Run by traksense_owner.

-- name: has_segments
-- Whether this engine keeps closed days as segments.
SELECT pg_catalog.to_regclass('public.m_segment') IS NOT NULL;

-- name: closable_days
-- Days to be closed, oldest first: those that ended so long ago, read by the rollups, not closed.
SELECT d.day FROM public.closable_days(%(close_after)s) AS d(day);

-- name: begin_closing
-- From here on, readings of the day go through add_late_readings.
SELECT public.begin_closing(%(day)s::date);

-- name: build_slice
-- Segments of the next points of the day; false: all are built.
SELECT public.build_slice(%(day)s::date, %(rows)s);

-- name: catch_up
-- Segments of points that got readings meanwhile, once more; how many points.
SELECT public.catch_up(%(day)s::date, %(points)s);

-- name: finish_closing
-- Segments in the place of rows; false: not yet, or somebody else was quicker.
SELECT public.finish_closing(%(day)s::date);

-- name: late_days
-- Closed days with late rows.
SELECT d.day FROM public.late_days() AS d(day);

-- name: merge_late
-- Late rows of some points into their segments: how many points and readings.
SELECT m.points, m.merged FROM public.merge_late(%(day)s::date, %(points)s) m;

-- name: days
-- The days that are closed or being closed, newest first, with what their segments take on the
-- disk.
SELECT k.day, k.state, k.readings, k.segments, k.merged, k.closed_at,
       pg_catalog.pg_total_relation_size(pg_catalog.to_regclass(
           'public.m_segment_' || pg_catalog.to_char(k.day, 'YYYYMMDD')))
FROM public.closed_days k
ORDER BY k.day DESC;

-- name: closed_days
-- Days whose readings must not be inserted straight. Run by traksense_ingest.
SELECT public.list_closed_days();

-- name: add_late_readings
-- Readings of closed days that are not there yet; how many. Run by traksense_ingest.
SELECT public.add_late_readings(
    %(ts)b, %(v_num)b, %(point_sk)b, %(v_bool)b, %(v_text)b, %(meta)b);
