/** Not run: the compiler refuses what it should, and nothing else. */
import { Billing, BillingError, type Decision, dataOf, type ErrorCode, type UsageEvent } from "../src/index.js";

const billing = new Billing("http://127.0.0.1:8080", "nsk_test", { timeout: 1000 });

export async function right(): Promise<string> {
  const invoice = await dataOf(billing.api.GET("/api/v1/invoices/{invoice}", { params: { path: { invoice: "in_1" } } }));
  const list = await dataOf(billing.api.GET("/api/v1/invoices", { params: { query: { user: "u", limit: 3 } } }));
  const payment = await dataOf(
    billing.api.POST("/api/v1/payments", {
      body: { amount: 1000, customer: "cus_1" },
      params: { header: { "Idempotency-Key": "order-1" } },
    }),
  );
  const decision: Decision = await billing.check("u", "api_calls");
  const remaining: number = decision.remaining;
  const length: number = await billing.reserved("u", "api_calls", 2, (held) => (held.value = 1));
  const texts: string[] = [invoice.id, payment.id, `${list.length} ${remaining} ${length}`];
  return texts.join();
}

export function codes(error: unknown): ErrorCode {
  if (error instanceof BillingError && error.code === "no_such_user") return error.code;
  return "a code of Stripe's";
}

export const event: UsageEvent = { user: "u", metric: "api_calls", value: 1 };

export async function wrong(): Promise<void> {
  // @ts-expect-error: no such route
  await billing.api.GET("/api/v1/invoice");
  // @ts-expect-error: the path is not filled
  await billing.api.GET("/api/v1/invoices/{invoice}", {});
  // @ts-expect-error: an amount is a number
  await billing.api.POST("/api/v1/payments", { body: { amount: "1000" } });
  // @ts-expect-error: a link is somebody's
  await billing.api.POST("/api/v1/page-links", { body: { lives: "1h" } });
  // @ts-expect-error: an event has a user
  await billing.record({ metric: "api_calls", value: 1 });
  const decision = await billing.check("u", "api_calls");
  // @ts-expect-error: no such field
  decision.colour;
}
