"""PayPal's Python SDK, pointed at the simulator: every call that a shop makes, and its refusals.

Usage: python journey.py <base URL>. Prints one line at the end; any difference from what the SDK or
this journey expects ends it with an error.
"""

import json
import sys
import urllib.request

from paypalserversdk.configuration import Configuration, Environment, Server
from paypalserversdk.exceptions.error_exception import ErrorException
from paypalserversdk.exceptions.o_auth_provider_exception import OAuthProviderException
from paypalserversdk.http.auth.o_auth_2 import ClientCredentialsAuthCredentials
from paypalserversdk.models.amount_breakdown import AmountBreakdown
from paypalserversdk.models.amount_with_breakdown import AmountWithBreakdown
from paypalserversdk.models.checkout_payment_intent import CheckoutPaymentIntent
from paypalserversdk.models.item import Item
from paypalserversdk.models.money import Money
from paypalserversdk.models.order_application_context import OrderApplicationContext
from paypalserversdk.models.order_request import OrderRequest
from paypalserversdk.models.patch import Patch
from paypalserversdk.models.payment_source import PaymentSource
from paypalserversdk.models.paypal_wallet import PaypalWallet
from paypalserversdk.models.paypal_wallet_experience_context import PaypalWalletExperienceContext
from paypalserversdk.models.purchase_unit_request import PurchaseUnitRequest
from paypalserversdk.models.refund_request import RefundRequest
from paypalserversdk.paypal_serversdk_client import PaypalServersdkClient

UNKNOWN = "8NWZIN5DBBQZEF3LN"


def client(base, secret):
    """A client whose sandbox is the simulator."""
    Configuration.environments[Environment.SANDBOX][Server.DEFAULT] = base
    credentials = ClientCredentialsAuthCredentials("sim-client", secret)
    return PaypalServersdkClient(
        client_credentials_auth_credentials=credentials,
        environment=Environment.SANDBOX,
        timeout=10,
    )


def control(base, path, body):
    """A call of the simulator's control API."""
    request = urllib.request.Request(f"{base}/control{path}", json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def refused(status, issue, call, options):
    """The refusal of a call that must fail."""
    try:
        call(options)
    except ErrorException as error:
        assert error.response_code == status, error
        assert error.details[0].issue == issue, error
        assert error.debug_id, "a debug id"
        return error
    raise AssertionError(f"no {status} {issue}")


def usd(value):
    return Money(currency_code="USD", value=value)


def wanted(reference, total="32.50"):
    breakdown = AmountBreakdown(
        item_total=usd("30.00"), shipping=usd("4.00"), tax_total=usd("1.50"), discount=usd("3.00")
    )
    unit = PurchaseUnitRequest(
        custom_id=reference,
        invoice_id=f"PY-{reference}",
        amount=AmountWithBreakdown(currency_code="USD", value=total, breakdown=breakdown),
        items=[Item(name="Mug", sku="MUG-1", quantity="2", unit_amount=usd("15.00"))],
    )
    context = PaypalWalletExperienceContext(
        return_url="https://shop.example/return",
        cancel_url="https://shop.example/cancel",
        user_action="PAY_NOW",
        shipping_preference="NO_SHIPPING",
    )
    return OrderRequest(
        intent=CheckoutPaymentIntent.CAPTURE,
        purchase_units=[unit],
        payment_source=PaymentSource(paypal=PaypalWallet(experience_context=context)),
    )


def created(orders, key):
    answer = orders.create_order(
        {"body": wanted(key), "paypal_request_id": f"{key}:create", "prefer": "return=representation"}
    )
    assert answer.status_code == 201
    assert answer.body.status == "PAYER_ACTION_REQUIRED"
    assert any(link.rel == "payer-action" for link in answer.body.links)
    assert answer.body.purchase_units[0].amount.value == "32.50"
    return answer.body.id


def capturing(order, key):
    return {"id": order, "paypal_request_id": f"{key}:capture", "prefer": "return=representation"}


def paid(base, orders, key):
    order = created(orders, key)
    refused(422, "ORDER_NOT_APPROVED", orders.capture_order, capturing(order, f"{key}:early"))
    path = "/purchase_units/@reference_id=='default'/description"
    patch = [Patch(op="add", path=path, value="Two blue mugs")]
    assert orders.patch_order({"id": order, "body": patch}).status_code == 204
    control(base, f"/orders/{order}/approve", {})
    shown = orders.get_order({"id": order}).body
    assert (shown.status, shown.purchase_units[0].description) == ("APPROVED", "Two blue mugs")
    answer = orders.capture_order(capturing(order, key))
    assert (answer.status_code, answer.body.status) == (201, "COMPLETED")
    capture = answer.body.purchase_units[0].payments.captures[0]
    assert (capture.status, capture.amount.value) == ("COMPLETED", "32.50")
    assert capture.seller_receivable_breakdown.gross_amount.value == "32.50"
    again = orders.capture_order(capturing(order, key))
    assert again.status_code == 200, "a replay"
    assert again.body.purchase_units[0].payments.captures[0].id == capture.id
    refused(422, "ORDER_ALREADY_CAPTURED", orders.capture_order, capturing(order, f"{key}:again"))
    return capture.id


def given_back(payments, capture, key):
    shown = payments.get_captured_payment({"capture_id": capture}).body
    assert (shown.status, shown.custom_id) == ("COMPLETED", key)

    def refund(suffix, body):
        return {
            "capture_id": capture,
            "paypal_request_id": f"{key}:{suffix}",
            "prefer": "return=representation",
            "body": body,
        }

    part = payments.refund_captured_payment(
        refund("part", RefundRequest(amount=usd("4.00"), note_to_payer="Sorry"))
    )
    assert (part.status_code, part.body.status) == (201, "COMPLETED")
    assert part.body.seller_payable_breakdown.total_refunded_amount.value == "4.00"
    looked = payments.get_refund({"refund_id": part.body.id}).body
    assert (looked.id, looked.amount.value) == (part.body.id, "4.00")
    much = refund("much", RefundRequest(amount=usd("28.51")))
    refused(422, "REFUND_AMOUNT_EXCEEDED", payments.refund_captured_payment, much)
    rest = payments.refund_captured_payment(refund("rest", RefundRequest()))
    assert rest.body.amount.value == "28.50"
    assert payments.get_captured_payment({"capture_id": capture}).body.status == "REFUNDED"
    late = refund("late", RefundRequest())
    refused(422, "CAPTURE_FULLY_REFUNDED", payments.refund_captured_payment, late)


def refusals(orders, payments):
    minimal = orders.create_order({"body": wanted("min"), "paypal_request_id": "min"}).body
    assert minimal.id and minimal.status and len(minimal.links) > 1
    wrong = {"body": wanted("sum", total="32.49"), "paypal_request_id": "sum"}
    refused(422, "AMOUNT_MISMATCH", orders.create_order, wrong)
    long = {"body": wanted("x" * 128), "paypal_request_id": "long"}
    error = refused(400, "INVALID_STRING_LENGTH", orders.create_order, long)
    assert error.details[0].field == "/purchase_units/0/custom_id"
    refused(404, "INVALID_RESOURCE_ID", orders.get_order, {"id": UNKNOWN})
    unknown = {"capture_id": UNKNOWN}
    refused(404, "INVALID_RESOURCE_ID", payments.get_captured_payment, unknown)
    mocked = {
        "body": wanted("mock"),
        "paypal_request_id": "mock",
        "paypal_mock_response": '{"mock_application_codes":"INSTRUMENT_DECLINED"}',
    }
    refused(422, "INSTRUMENT_DECLINED", orders.create_order, mocked)
    authorize = {"id": minimal.id, "paypal_request_id": "authorize"}
    refused(422, "ACTION_DOES_NOT_MATCH_INTENT", orders.authorize_order, authorize)


def older_form(base, orders):
    body = wanted("old")
    del body.payment_source
    body.application_context = OrderApplicationContext(return_url="https://shop.example/return")
    answer = orders.create_order({"body": body, "prefer": "return=representation"})
    assert answer.body.status == "CREATED"
    assert any(link.rel == "approve" for link in answer.body.links)
    control(base, f"/orders/{answer.body.id}/approve", {"then": "pending"})
    capture = orders.capture_order(capturing(answer.body.id, "old")).body
    waiting = capture.purchase_units[0].payments.captures[0]
    assert (waiting.status, waiting.status_details.reason) == ("PENDING", "ECHECK")


def strangers(base):
    try:
        client(base, "wrong").oauth_2.fetch_token()
    except OAuthProviderException as error:
        assert error.response_code == 401, error
        assert error.error == "invalid_client", error
        return
    raise AssertionError("a stranger is let in")


def main():
    base = sys.argv[1]
    sdk = client(base, "sim-secret")
    capture = paid(base, sdk.orders, "paid")
    given_back(sdk.payments, capture, "paid")
    refusals(sdk.orders, sdk.payments)
    older_form(base, sdk.orders)
    control(base, "/tokens/revoke", {})
    try:
        sdk.orders.get_order({"id": UNKNOWN})
    except ErrorException as error:
        assert error.response_code == 401, error
    else:
        raise AssertionError("a revoked token is let in")
    strangers(base)
    print("the Python SDK is content")


main()
