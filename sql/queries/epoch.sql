-- The epoch of the configuration. It is read as each transaction begins (traksense.db.connection).

-- name: raise_epoch
-- No copy of the configuration in any container's memory holds any more. Run by traksense_ops.
SELECT public.raise_config_epoch();
