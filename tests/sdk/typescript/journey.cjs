// PayPal's TypeScript SDK, pointed at the simulator: every call that a shop makes, and its refusals.
//
// Usage: NODE_PATH=<node_modules> node journey.cjs <base URL>. Prints one line at the end; any
// difference from what the SDK or this journey expects ends it with an error.
"use strict";

const assert = require("node:assert/strict");
const axios = require("axios");
const {
  ApiError,
  Client,
  CheckoutPaymentIntent,
  CustomError,
  Environment,
  OrdersController,
  PatchOp,
  PaymentsController,
} = require("@paypal/paypal-server-sdk");

const SANDBOX = "https://api-m.sandbox.paypal.com";
const base = process.argv[2];
assert(base?.startsWith("http://127.0.0.1:"), "the first argument is the simulator's URL");

// The SDK knows two environments by name; its transport is where a third can be given.
function pointed(config) {
  assert(config.url.startsWith(SANDBOX), config.url);
  const there = { ...config, url: base + config.url.slice(SANDBOX.length) };
  return axios.getAdapter("http")(there);
}

function client(secret) {
  return new Client({
    clientCredentialsAuthCredentials: {
      oAuthClientId: "sim-client",
      oAuthClientSecret: secret,
    },
    environment: Environment.Sandbox,
    timeout: 10_000,
    unstable_httpClientOptions: { adapter: pointed, proxy: false },
  });
}

async function control(path, body) {
  const answer = await fetch(`${base}/control${path}`, {
    method: "POST",
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

/** The refusal of a call that must fail. */
async function refused(call, status, issue) {
  const error = await call.then(
    () => assert.fail(`no ${status} ${issue}`),
    (thrown) => thrown,
  );
  assert(error instanceof CustomError, `${error}`);
  assert.equal(error.statusCode, status);
  assert.equal(error.result.details[0].issue, issue);
  assert(error.result.debug_id, "a debug id");
  return error.result;
}

function money(value) {
  return { currencyCode: "USD", value };
}

function wanted(reference) {
  return {
    intent: CheckoutPaymentIntent.Capture,
    purchaseUnits: [
      {
        customId: reference,
        invoiceId: `TS-${reference}`,
        description: "Two mugs",
        amount: {
          ...money("32.50"),
          breakdown: {
            itemTotal: money("30.00"),
            shipping: money("4.00"),
            taxTotal: money("1.50"),
            discount: money("3.00"),
          },
        },
        items: [{ name: "Mug", sku: "MUG-1", quantity: "2", unitAmount: money("15.00") }],
        shipping: {
          name: { fullName: "Jörg Weiß" },
          address: {
            addressLine1: "1 Main St",
            adminArea2: "San Jose",
            adminArea1: "CA",
            postalCode: "95131",
            countryCode: "US",
          },
        },
      },
    ],
    paymentSource: {
      paypal: {
        experienceContext: {
          returnUrl: "https://shop.example/return",
          cancelUrl: "https://shop.example/cancel",
          userAction: "PAY_NOW",
          shippingPreference: "SET_PROVIDED_ADDRESS",
          brandName: "Bodega",
        },
      },
    },
  };
}

async function created(orders, key) {
  const answer = await orders.createOrder({
    body: wanted(key),
    paypalRequestId: `${key}:create`,
    prefer: "return=representation",
  });
  assert.equal(answer.statusCode, 201);
  assert.equal(answer.result.status, "PAYER_ACTION_REQUIRED");
  assert(answer.result.links.some((link) => link.rel === "payer-action"));
  assert.equal(answer.result.purchaseUnits[0].amount.value, "32.50");
  assert.equal(answer.result.purchaseUnits[0].items[0].sku, "MUG-1");
  return answer.result.id;
}

async function captured(orders, id, key) {
  return orders.captureOrder({
    id,
    paypalRequestId: `${key}:capture`,
    prefer: "return=representation",
    body: {},
  });
}

async function paid(orders, key) {
  const id = await created(orders, key);
  await refused(captured(orders, id, `${key}:early`), 422, "ORDER_NOT_APPROVED");
  const patched = await orders.patchOrder({
    id,
    body: [
      {
        op: PatchOp.Replace,
        path: "/purchase_units/@reference_id=='default'/description",
        value: "Two blue mugs",
      },
    ],
  });
  assert.equal(patched.statusCode, 204);
  await control(`/orders/${id}/approve`, {});
  const shown = await orders.getOrder({ id });
  assert.equal(shown.result.status, "APPROVED");
  assert.equal(shown.result.purchaseUnits[0].description, "Two blue mugs");
  assert.equal(shown.result.paymentSource.paypal.accountStatus, "VERIFIED");
  const answer = await captured(orders, id, key);
  assert.equal(answer.statusCode, 201);
  assert.equal(answer.result.status, "COMPLETED");
  const capture = answer.result.purchaseUnits[0].payments.captures[0];
  assert.equal(capture.status, "COMPLETED");
  assert.equal(capture.amount.value, "32.50");
  assert.equal(capture.finalCapture, true);
  assert.equal(capture.sellerProtection.status, "ELIGIBLE");
  assert.equal(capture.sellerReceivableBreakdown.grossAmount.value, "32.50");
  const again = await captured(orders, id, key);
  assert.equal(again.statusCode, 200, "a replay");
  assert.deepEqual(again.result, answer.result);
  await refused(captured(orders, id, `${key}:again`), 422, "ORDER_ALREADY_CAPTURED");
  return capture.id;
}

async function givenBack(payments, captureId, key) {
  const shown = await payments.getCapturedPayment({ captureId });
  assert.equal(shown.result.status, "COMPLETED");
  assert.equal(shown.result.customId, key);
  const refund = (suffix, body) =>
    payments.refundCapturedPayment({
      captureId,
      paypalRequestId: `${key}:${suffix}`,
      prefer: "return=representation",
      body,
    });
  const part = await refund("part", { amount: money("4.00"), noteToPayer: "Sorry" });
  assert.equal(part.statusCode, 201);
  assert.equal(part.result.status, "COMPLETED");
  assert.equal(part.result.sellerPayableBreakdown.totalRefundedAmount.value, "4.00");
  const looked = await payments.getRefund({ refundId: part.result.id });
  assert.deepEqual(looked.result, part.result);
  await refused(refund("much", { amount: money("28.51") }), 422, "REFUND_AMOUNT_EXCEEDED");
  const rest = await refund("rest", {});
  assert.equal(rest.result.amount.value, "28.50");
  const after = await payments.getCapturedPayment({ captureId });
  assert.equal(after.result.status, "REFUNDED");
  await refused(refund("late", {}), 422, "CAPTURE_FULLY_REFUNDED");
}

async function refusals(orders, payments) {
  const minimal = await orders.createOrder({ body: wanted("min"), paypalRequestId: "min" });
  assert(minimal.result.id && minimal.result.status && minimal.result.links.length > 1);
  const wrong = wanted("sum");
  wrong.purchaseUnits[0].amount.value = "32.49";
  const sum = orders.createOrder({ body: wrong, paypalRequestId: "sum" });
  await refused(sum, 422, "AMOUNT_MISMATCH");
  const long = wanted("x".repeat(128));
  const length = orders.createOrder({ body: long, paypalRequestId: "long" });
  const details = await refused(length, 400, "INVALID_STRING_LENGTH");
  assert.equal(details.details[0].field, "/purchase_units/0/custom_id");
  await refused(orders.getOrder({ id: "8NWZIN5DBBQZEF3LN" }), 404, "INVALID_RESOURCE_ID");
  const unknown = { captureId: "8NWZIN5DBBQZEF3LN" };
  await refused(payments.getCapturedPayment(unknown), 404, "INVALID_RESOURCE_ID");
  const mocked = orders.createOrder({
    body: wanted("mock"),
    paypalRequestId: "mock",
    paypalMockResponse: '{"mock_application_codes":"INSTRUMENT_DECLINED"}',
  });
  await refused(mocked, 422, "INSTRUMENT_DECLINED");
  const authorize = { id: minimal.result.id, paypalRequestId: "authorize" };
  await refused(orders.authorizeOrder(authorize), 422, "ACTION_DOES_NOT_MATCH_INTENT");
}

async function outcomes(orders, payments) {
  const pending = await created(orders, "pending");
  await control(`/orders/${pending}/approve`, { then: "pending" });
  const answer = await captured(orders, pending, "pending");
  const waiting = answer.result.purchaseUnits[0].payments.captures[0];
  assert.equal(waiting.status, "PENDING");
  assert.equal(waiting.statusDetails.reason, "ECHECK");
  const early = { captureId: waiting.id, paypalRequestId: "early", body: {} };
  await refused(payments.refundCapturedPayment(early), 422, "PENDING_CAPTURE");
  const declined = await created(orders, "declined");
  await control(`/orders/${declined}/approve`, { then: "decline" });
  await refused(captured(orders, declined, "declined"), 422, "INSTRUMENT_DECLINED");
}

async function strangers() {
  const orders = new OrdersController(client("wrong"));
  const thrown = await orders.getOrder({ id: "8NWZIN5DBBQZEF3LN" }).then(
    () => assert.fail("a stranger is let in"),
    (error) => error,
  );
  assert(thrown instanceof ApiError, `${thrown}`);
  assert.equal(thrown.statusCode, 401);
  assert.equal(thrown.result.error, "invalid_client");
}

async function main() {
  const sdk = client("sim-secret");
  const [orders, payments] = [new OrdersController(sdk), new PaymentsController(sdk)];
  const capture = await paid(orders, "paid");
  await givenBack(payments, capture, "paid");
  await refusals(orders, payments);
  await outcomes(orders, payments);
  await control("/tokens/revoke", {});
  const lapsed = await orders.getOrder({ id: "8NWZIN5DBBQZEF3LN" }).catch((error) => error);
  assert.equal(lapsed.statusCode, 401);
  await strangers();
  console.log("the TypeScript SDK is content");
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
