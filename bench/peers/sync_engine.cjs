// A server around @supabase/stripe-sync-engine: nothing but its processWebhook. The database is libpq's (PGHOST, PGUSER, PGDATABASE).
// With FETCH_FROM, a port of the sandbox, it fetches each object again before it stores it (its revalidateObjectsViaStripeApi).
const http = require('node:http')
const { StripeSync, runMigrations } = require('@supabase/stripe-sync-engine')
const Stripe = require('stripe')

const { PORT, FETCH_FROM, STRIPE_SECRET_KEY: stripeSecretKey, STRIPE_WEBHOOK_SECRET: stripeWebhookSecret, STRIPE_VERSION: apiVersion } = process.env
const logger = { info() {}, error: console.error }

async function main() {
  await runMigrations({ schema: 'stripe', logger })
  const sync = new StripeSync({
    poolConfig: { max: 16 },
    stripeSecretKey,
    stripeWebhookSecret,
    stripeApiVersion: apiVersion,
    revalidateObjectsViaStripeApi: FETCH_FROM ? ['customer', 'subscription', 'invoice'] : [],
    logger,
  })
  if (FETCH_FROM) {
    sync.stripe = new Stripe(stripeSecretKey, { apiVersion, host: '127.0.0.1', port: FETCH_FROM, protocol: 'http' })
  }
  const answer = (response, status, body) => {
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    response.end(body)
  }
  const server = http.createServer((request, response) => {
    const parts = []
    request.on('data', (part) => parts.push(part))
    request.on('end', () => {
      sync.processWebhook(Buffer.concat(parts), request.headers['stripe-signature']).then(
        () => answer(response, 200, '{"received":true}'),
        (error) => { console.error(error); answer(response, 500, '{"received":false}') },
      )
    })
  })
  server.keepAliveTimeout = 60000
  server.listen(Number(PORT), '127.0.0.1')
}

main()
