-- squawk-ignore-file adding-field-with-default, require-concurrent-index-deletion
-- Local to the coordinator. What a report of revenue reads of an invoice, beside its picture: that is long, and stored apart.
-- The invoice's lines summed up by price, less discounts, in minor units; what nself metered under the name of its metadata.
create function billing.billing_amounts_by_price(invoice jsonb) returns jsonb language sql immutable parallel safe as $$
    select coalesce(jsonb_object_agg(price, minor), '{}')
    from (
        select
            case
                when line -> 'metadata' ? 'nself_metric' then 'nself_metric'
                else line -> 'pricing' -> 'price_details' ->> 'price'
            end as price,
            sum((line ->> 'amount')::bigint - (
                select coalesce(sum((off #>> '{}')::bigint), 0)
                from jsonb_path_query(line, 'lax $.discount_amounts[*].amount') as off
            )) as minor
        from jsonb_path_query(invoice, 'lax $.lines.data[*]') as line
        group by price
    ) as priced
    where price is not null
$$;

drop index billing_invoices_paid;
alter table billing_invoices
add column paid_at timestamptz generated always as (
    to_timestamp((snapshot -> 'status_transitions' ->> 'paid_at')::bigint)
) stored,
add column amounts_by_price jsonb not null generated always as (billing.billing_amounts_by_price(snapshot)) stored;
create index billing_invoices_paid on billing_invoices (paid_at) where status = 'paid' and not deleted;

-- The few subscriptions of whose worth something is in doubt.
create index billing_mrr_doubtful on billing_mrr (subscription_id) where doubt is not null;
