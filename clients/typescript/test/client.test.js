/** Against the real service, which tests/client/test_typescript.py starts. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, test } from "node:test";
import * as client from "../dist/index.js";

const { url, key, users, hook } = JSON.parse(process.env.NSELF_TEST);
const billing = new client.Billing(url, key);
const metric = "api_calls";
const user = () => users.pop() ?? assert.fail("too few users");
const figures = async (user) => {
  const { used, held } = await billing.check(user, metric, 0);
  return [used, held];
};

/** A way to the service that does `first` with the first requests instead of answering as the service does. */
async function way(...first) {
  const seen = [];
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const fault = first[seen.length];
    seen.push(request.headers["idempotency-key"]);
    const { connection, ...headers } = request.headers;
    const ask = () => fetch(url + request.url, { method: request.method, headers, body: parts.length ? Buffer.concat(parts) : undefined });
    if (fault) return fault(response, ask);
    const answer = await ask();
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" }).end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  after(() => server.close());
  return { address: `http://127.0.0.1:${server.address().port}`, seen };
}
const lost = async (response, ask) => (await ask(), response.destroy());
const broken = async (response, ask) => (await ask(), response.writeHead(200, { "content-length": "100" }).write("{"), response.destroy());
const busy = (response) => response.writeHead(503, { "retry-after": "1" }).end("{}");
const stranger = (response) => response.writeHead(404).end("<html>not here</html>");

test("usage counts once, in batches, and what cannot be counted is named by its place", async () => {
  const someone = user();
  const events = client.keyed(Array.from({ length: 7 }, (_, at) => ({ user: at === 5 ? "nobody" : someone, metric, value: 1 })));
  const small = new client.Billing(url, key, { batchEvents: 2 });
  const found = await small.record(events);
  assert.deepEqual([found.accepted, found.duplicate, found.rejected.map((one) => [one.index, one.code])], [6, 0, [[5, "no_such_user"]]]);
  assert.deepEqual(await small.record(events).then((again) => [again.accepted, again.duplicate]), [0, 6]);
  await billing.record({ user: someone, metric, value: 4 });
  const [total] = await client.dataOf(billing.api.GET("/api/v1/usage", { params: { query: { user: someone, metric } } }));
  assert.deepEqual([total.value, total.events], [10, 7]);
});

test("a quota is asked, held, counted and given back", async () => {
  const someone = user();
  assert.equal((await billing.check(someone, metric, 10)).allowed, true);
  const refused = await billing.check(someone, metric, 11);
  assert.deepEqual([refused.allowed, refused.limit, refused.remaining, refused.reservation], [false, 10, 10, null]);
  assert.ok(refused.retry_after >= 1);
  const first = await billing.reserve(someone, metric, 4, "once");
  assert.equal((await billing.reserve(someone, metric, 4, "once")).reservation, first.reservation);
  assert.deepEqual(await figures(someone), [0, 4]);
  await billing.commit(first.reservation, 3);
  await billing.commit(first.reservation, 3);
  const second = await billing.reserve(someone, metric, 7);
  assert.deepEqual(await figures(someone), [3, 7]);
  await billing.release(second.reservation);
  assert.deepEqual(await figures(someone), [3, 0]);
});

test("work holds what it costs: counted after it, given back where it throws", async () => {
  const someone = user();
  const made = await billing.reserved(someone, metric, 8, async (held) => {
    assert.deepEqual(await figures(someone), [0, 8]);
    held.value = 5;
    return "made";
  });
  assert.equal(made, "made");
  const broken = billing.reserved(someone, metric, 2, () => assert.fail("broken"));
  await assert.rejects(broken, { message: "broken" });
  assert.deepEqual(await figures(someone), [5, 0]);
  await assert.rejects(
    billing.reserved(someone, metric, 6, () => assert.fail("it has no room")),
    (error) => error instanceof client.QuotaExceeded && error.code === "quota_exceeded" && error.decision.remaining === 5,
  );
});

test("errors are in families, with the service's codes", async () => {
  const ask = (invoice, from = billing) => from.api.GET("/api/v1/invoices/{invoice}", { params: { path: { invoice } } });
  await assert.rejects(billing.check("nobody", metric), (error) => {
    assert.ok(error instanceof client.NotFound && error instanceof client.BillingError);
    assert.deepEqual([error.name, error.code, error.status, error.param], ["NotFound", "no_such_user", 404, "user"]);
    assert.match(error.requestId, /^req_/);
    return error.hint.length > 0;
  });
  await assert.rejects(ask("in_123", new client.Billing(url, "nonsense")), (error) => error instanceof client.Denied && error.code === "invalid_api_key");
  await assert.rejects(billing.check("u", metric, -1), (error) => error instanceof client.Invalid && error.param === "value");
  const elsewhere = await way(stranger);
  await assert.rejects(ask("in_123", new client.Billing(elsewhere.address, key)), client.UnreadableAnswer);
  const nobody = new client.Billing("http://127.0.0.1:1", key);
  await assert.rejects(ask("in_123", nobody), (error) => error instanceof client.ServiceUnreachable && error.code === "service_unreachable");
});

for (const [name, fault] of Object.entries({ lost, broken, busy })) {
  test(`an answer that is ${name} is asked for again, under the same key`, async () => {
    const someone = user();
    const { address, seen } = await way(fault, fault);
    const found = await new client.Billing(address, key).reserve(someone, metric, 3);
    assert.equal(found.allowed, true);
    assert.deepEqual(await figures(someone), [0, 3]);
    assert.equal(seen.length, 3);
    assert.equal(new Set(seen).size, 1);
    assert.ok(seen[0]);
  });
}

test("usage is counted once, whatever becomes of the answers", async () => {
  const someone = user();
  const { address, seen } = await way(lost, busy);
  const found = await new client.Billing(address, key).record([{ user: someone, metric, value: 2 }]);
  assert.deepEqual([found.accepted, found.duplicate, seen.length], [0, 1, 3]);
  assert.deepEqual(await figures(someone), [2, 0]);
});

test("a payment is made once; a key of the caller's own is kept", async () => {
  for (const body of [{ amount: 1000 }, { amount: 1000, idempotency_key: `order-${Date.now()}` }]) {
    const { address, seen } = await way(lost);
    const patient = new client.Billing(address, key, { timeout: 60_000 });
    const paid = await client.dataOf(patient.api.POST("/api/v1/payments", { body: { ...body, customer: "cus_123", payment_method: "pm_card_visa" } }));
    assert.equal(seen.length, 2);
    assert.equal(seen[0], seen[1]);
    if (body.idempotency_key) assert.equal(seen[0], body.idempotency_key);
    const again = await client.dataOf(
      billing.api.POST("/api/v1/payments", {
        body: { amount: 1000, customer: "cus_123", payment_method: "pm_card_visa" },
        params: { header: { "Idempotency-Key": seen[0] } },
      }),
    );
    assert.equal(again.id, paid.id);
  }
});

test("what may do something twice is not sent twice", async () => {
  const { address, seen } = await way(lost);
  const link = new client.Billing(address, key).pageLink(user());
  await assert.rejects(link, client.ServiceUnreachable);
  const event = { user: user(), metric, value: 1 };
  await assert.rejects(new client.Billing((await way(busy)).address, key).api.POST("/api/v1/usage", { body: event }), client.Unavailable);
  assert.equal(seen.length, 1);
});

test("a call ends by its timeout, its tries or its signal", async () => {
  const silent = await way(() => {}, () => {});
  await assert.rejects(new client.Billing(silent.address, key, { timeout: 200 }).check("u", metric), client.ServiceUnreachable);
  const away = await way(...Array(9).fill(lost));
  await assert.rejects(new client.Billing(away.address, key, { tries: 3 }).check("u", metric), client.ServiceUnreachable);
  assert.equal(away.seen.length, 3);
  const signal = AbortSignal.abort(new Error("no more"));
  await assert.rejects(billing.api.GET("/api/v1/invoices", { signal }), { message: "no more" });
});

test("a page of a user's own", async () => {
  const someone = user();
  const link = await billing.pageLink(someone, "15m");
  const page = await fetch(link.url.replace(/^https?:\/\/[^/]+/, url));
  assert.equal(page.status, 200);
  assert.match(await page.text(), /Your usage and invoices/);
});

test("a document comes as it is", async () => {
  const invoices = await client.dataOf(billing.api.GET("/api/v1/invoices"));
  assert.ok(invoices.length > 0);
  const shown = await client.dataOf(billing.api.GET("/api/v1/invoices/{invoice}", { params: { path: { invoice: invoices[0].id } } }));
  assert.equal(shown.id, invoices[0].id);
});

test("our webhooks are verified", async () => {
  const { body, header, secret, at } = hook;
  const now = new Date(at * 1000);
  const event = await client.verifyWebhook(body, header, secret, { now });
  assert.deepEqual([event.object, event.type, event.data.object.user], ["event", "quota.threshold", "user123"]);
  await client.verifyWebhook(new TextEncoder().encode(body), header, ["another", secret], { now });
  const refused = async (...args) => assert.rejects(client.verifyWebhook(...args), client.InvalidSignature);
  await refused(body.replace("user123", "user124"), header, secret, { now });
  await refused(body, header, "another", { now });
  await refused(body, header, "", { now });
  await refused(body, null, secret, { now });
  await refused(body, header.replace("v1=", "v0="), secret, { now });
  await refused(body, header.replace(/t=\d+/, `t=${at + 1}`), secret, { now });
  await refused(body, header, secret, { now: new Date((at + 301) * 1000) });
  await refused(body, header, secret, { now: new Date((at - 301) * 1000) });
  await refused(body, header, secret);
});
