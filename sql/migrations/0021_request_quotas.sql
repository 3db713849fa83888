-- How many requests of the minute in hand are given out to containers, by subject: a tenant, a
-- user, an address. One row a subject, overwritten each minute. Unlogged: a crash of the server
-- forgets at most a minute's count.

CREATE UNLOGGED TABLE public.request_quotas (
    subject text PRIMARY KEY CHECK (length(subject) <= 256),
    tenant_id uuid,
    minute bigint NOT NULL,
    most integer NOT NULL,
    taken integer NOT NULL,
    granted integer NOT NULL,
    -- A tenant's subjects begin with its id, so that no tenant can take another's row.
    CHECK (starts_with(subject, coalesce(tenant_id::text, '-') || ' '))
) WITH (fillfactor = 50);
COMMENT ON COLUMN public.request_quotas.minute IS 'Minutes since the Unix epoch.';
COMMENT ON COLUMN public.request_quotas.most IS 'Requests that the subject has in a minute.';
COMMENT ON COLUMN public.request_quotas.taken IS 'Requests of the minute that were given out.';
COMMENT ON COLUMN public.request_quotas.granted IS 'Requests that the last taker was given.';

ALTER TABLE public.request_quotas ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.request_quotas FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_all ON public.request_quotas TO traksense_owner
    USING (true) WITH CHECK (true);
CREATE POLICY ops_all ON public.request_quotas TO traksense_ops USING (true) WITH CHECK (true);
CREATE POLICY tenant_own ON public.request_quotas TO traksense_app
    USING (tenant_id = public.current_tenant_id())
    WITH CHECK (tenant_id = public.current_tenant_id());
GRANT SELECT, INSERT, UPDATE ON public.request_quotas TO traksense_app, traksense_ops;

CREATE FUNCTION public.request_lease(most integer, taken integer) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN greatest(0, least(most - taken, greatest(1, least(most / 16, (most - taken) / 4))));
COMMENT ON FUNCTION public.request_lease(integer, integer) IS
    'How many requests a container is given at once: a sixteenth, and less towards the end, so '
    'that little is left unspent in the others'' hands.';
GRANT EXECUTE ON FUNCTION public.request_lease(integer, integer)
    TO traksense_app, traksense_ops;

CREATE FUNCTION public.purge_request_quotas(before_minute bigint, at_once integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    gone integer;
BEGIN
    DELETE FROM public.request_quotas q
    WHERE q.subject IN (
        SELECT o.subject FROM public.request_quotas o
        WHERE o.minute < before_minute LIMIT at_once FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION public.purge_request_quotas(bigint, integer) IS
    'Deletes up to so many counts from before this minute; how many.';
