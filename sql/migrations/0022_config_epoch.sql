-- The epoch of the configuration: a number that every committed change of it raises. It rides on
-- the statement that opens each transaction, so that a copy in memory knows whether it still holds.
--
-- One counter would make writers wait for each other as long as an import takes, and a sequence
-- moves before its change can be seen. Here a writer takes a slot that no other is writing, and the
-- epoch is the sum over all slots: it grows with each commit, in the same instant as the change
-- that it tells of, and nobody waits. There are as many slots as there once were writers at once.

CREATE TABLE public.config_epochs (
    slot uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    changes bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE public.config_epochs IS
    'Counters whose sum is the epoch of the configuration. A transaction adds to one of them.';
INSERT INTO public.config_epochs DEFAULT VALUES;

CREATE FUNCTION public.raise_config_epoch() RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    free uuid;
    this_transaction text := pg_current_xact_id()::text;
BEGIN
    -- Once a transaction is enough: all of it becomes visible at once. What a savepoint undoes,
    -- the setting included, is done again by the next statement.
    IF current_setting('app.config_epoch', true) IS NOT DISTINCT FROM this_transaction THEN
        RETURN;
    END IF;
    SELECT e.slot INTO free FROM public.config_epochs e LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
    IF free IS NULL THEN
        INSERT INTO public.config_epochs (changes) VALUES (1);
    ELSE
        UPDATE public.config_epochs e SET changes = e.changes + 1 WHERE e.slot = free;
    END IF;
    PERFORM set_config('app.config_epoch', this_transaction, true);
END
$$;
COMMENT ON FUNCTION public.raise_config_epoch() IS
    'When this transaction commits, no copy of the configuration from before it holds any more.';

CREATE FUNCTION public.note_config_change() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM public.raise_config_epoch();
    RETURN NULL;
END
$$;

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY[
        'tenants', 'sites', 'device_templates', 'point_templates', 'devices', 'points'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER note_config_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE'
            ' ON public.%I FOR EACH STATEMENT EXECUTE FUNCTION public.note_config_change()',
            relation);
    END LOOP;
END
$$;

-- It says nothing of any tenant, and every transaction reads it.
GRANT SELECT ON public.config_epochs
    TO traksense_ingest, traksense_app, traksense_ops, traksense_readonly;
GRANT EXECUTE ON FUNCTION public.raise_config_epoch() TO traksense_ops;
