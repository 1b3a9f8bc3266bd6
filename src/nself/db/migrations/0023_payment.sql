-- What came in and went out, in minor units of the currency: charges above 0, refunds and disputes below. A view of the
-- mirror cannot say anything else than Stripe's objects, and cannot be emptied (docs/decisions/0025).
create view billing_transactions as
select
    object_id as id, 'charge' as kind, livemode, customer_id, (snapshot ->> 'amount_captured')::bigint as amount_minor,
    snapshot ->> 'currency' as currency, status, object_id as charge, snapshot ->> 'payment_intent' as payment_intent,
    snapshot ->> 'description' as description, created_at
from billing_charges
where (snapshot ->> 'amount_captured')::bigint > 0
union all
select
    refund.object_id, 'refund', refund.livemode, charge.customer_id, -(refund.snapshot ->> 'amount')::bigint,
    refund.snapshot ->> 'currency', refund.status, refund.snapshot ->> 'charge', refund.snapshot ->> 'payment_intent',
    coalesce(refund.snapshot -> 'metadata' ->> 'nself_reason', refund.snapshot ->> 'reason'), refund.created_at
from billing_refunds refund left join billing_charges charge on charge.object_id = refund.snapshot ->> 'charge'
where refund.status not in ('failed', 'canceled')
union all
select
    entry ->> 'id', 'dispute', dispute.livemode, charge.customer_id, (entry ->> 'amount')::bigint, entry ->> 'currency',
    dispute.status, dispute.snapshot ->> 'charge', dispute.snapshot ->> 'payment_intent', dispute.snapshot ->> 'reason',
    to_timestamp((entry ->> 'created')::bigint)
from billing_disputes dispute
cross join lateral jsonb_array_elements(dispute.snapshot -> 'balance_transactions') entry
left join billing_charges charge on charge.object_id = dispute.snapshot ->> 'charge';

create index billing_charges_created on billing_charges (created_at);
create index billing_charges_failed on billing_charges (created_at) where status = 'failed';
create index billing_charges_failed_method on billing_charges ((snapshot ->> 'payment_method')) where status = 'failed';
create index billing_refunds_created on billing_refunds (created_at);
create index billing_refunds_charge on billing_refunds ((snapshot ->> 'charge'));
create index billing_payments_failed on billing_payments (created_at)
where snapshot -> 'last_payment_error' ->> 'code' is not null;
