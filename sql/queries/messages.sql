-- Messages as devices sent them.

-- name: add_messages
-- Keeps those that are not there yet; how many. Run by traksense_ingest, in the transaction of the
-- readings that came with them.
SELECT public.add_messages(%(device_ids)s, %(received)s, %(topics)s, %(payloads)b);

-- name: unpacked_days
-- Days that ended so long ago and have messages that are not packed, oldest first.
SELECT d.day FROM public.unpacked_days(%(close_after)s) AS d(day);

-- name: pack_messages
-- Packs the messages of a day; how many there are.
SELECT public.pack_messages(%(day)s);
