-- Statements of the catalog.

-- name: pinned
select metric_type as metric, period_start, formula from billing_metric_periods where period_start = %(start)s;

-- name: pins
select metric_type as metric, period_start, formula from billing_metric_periods where metric_type = %(metric)s order by period_start;

-- name: pin
-- What a period was first invoiced by stays: a file that is changed afterwards re-rates nothing.
insert into billing_metric_periods (period_start, metric_type, formula, pinned_at)
select %(start)s, metric_type, formula, %(now)s
from unnest(%(metrics)s::text[], %(formulas)s::text[]) as given (metric_type, formula)
on conflict do nothing;

-- name: prices
select snapshot from billing_prices
where
    livemode = %(livemode)s and not deleted and (%(product)s::text is null or snapshot ->> 'product' = %(product)s)
    and (%(all)s or (snapshot -> 'active')::boolean)
order by created_at desc, object_id
limit %(limit)s;
