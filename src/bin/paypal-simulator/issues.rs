//! The issues that the simulator can answer with: status and description of each.
//!
//! Names and descriptions are those of PayPal's OpenAPI documents for Orders v2 and Payments v2
//! (<https://github.com/paypal/paypal-rest-api-specifications>, Apache-2.0), so that a client which
//! (wrongly) leans on the texts sees the true ones. `DUPLICATE_REQUEST_ID` alone is ours: PayPal
//! does not say what a second body under one request id answers.

/// One documented issue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Issue {
    /// The stable code.
    pub(crate) name: &'static str,
    /// The HTTP status it comes with.
    pub(crate) status: u16,
    /// The human-readable text.
    pub(crate) text: &'static str,
}

const fn issue(status: u16, name: &'static str, text: &'static str) -> Issue {
    Issue { name, status, text }
}

const ISSUES: &[Issue] = &[
    issue(
        400,
        "INVALID_ARRAY_MAX_ITEMS",
        "The number of items in an array parameter is too large.",
    ),
    issue(
        400,
        "INVALID_ARRAY_MIN_ITEMS",
        "The number of items in an array parameter is too small.",
    ),
    issue(
        400,
        "INVALID_COUNTRY_CODE",
        "Country code is invalid. Please refer to https://developer.paypal.com/api/rest/reference/country-codes/ for a list of supported country codes.",
    ),
    issue(
        400,
        "INVALID_PARAMETER_SYNTAX",
        "The value of a field does not conform to the expected format.",
    ),
    issue(
        400,
        "INVALID_STRING_LENGTH",
        "The value of a field is either too short or too long",
    ),
    issue(
        400,
        "INVALID_PARAMETER_VALUE",
        "A parameter value is not valid.",
    ),
    issue(
        400,
        "MISSING_REQUIRED_PARAMETER",
        "A required parameter is missing.",
    ),
    issue(
        400,
        "NOT_SUPPORTED",
        "This field is not currently supported.",
    ),
    issue(
        400,
        "PAYPAL_REQUEST_ID_REQUIRED",
        "A PayPal-Request-Id is required if you are trying to process payment for an Order. Please specify a PayPal-Request-Id or Create the Order without a 'payment_source' specified.",
    ),
    issue(
        400,
        "MALFORMED_REQUEST_JSON",
        "The request JSON is not well formed.",
    ),
    issue(400, "FIELD_NOT_PATCHABLE", "Field cannot be patched."),
    issue(
        400,
        "INVALID_PATCH_OPERATION",
        "The operation cannot be honored. Cannot add a property that's already present, use replace. Cannot remove a property thats not present, use add. Cannot replace a property thats not present, use add.",
    ),
    issue(
        401,
        "INVALID_ACCOUNT_STATUS",
        "Account validations failed for the user.",
    ),
    issue(
        403,
        "PERMISSION_DENIED",
        "You do not have permission to access or perform operations on this resource.",
    ),
    issue(
        404,
        "INVALID_RESOURCE_ID",
        "Specified resource ID does not exist. Please check the resource ID and try again.",
    ),
    issue(
        409,
        "PREVIOUS_REQUEST_IN_PROGRESS",
        "A previous request on this resource is currently in progress. Please wait for sometime and try again. It is best to space out the initial and the subsequent request(s) to avoid receiving this error.",
    ),
    issue(
        422,
        "ACTION_DOES_NOT_MATCH_INTENT",
        "Order was created with an intent to 'AUTHORIZE'. Please use v2/checkout/orders/order_id/authorize to complete the transaction or alternately Create an order with an intent of 'CAPTURE'.",
    ),
    issue(
        422,
        "AMOUNT_CHANGE_NOT_ALLOWED",
        "The amount specified is different from the amount authorized by payer.",
    ),
    issue(
        422,
        "AMOUNT_MISMATCH",
        "Should equal item_total + tax_total + shipping + handling + insurance - shipping_discount - discount.",
    ),
    issue(
        422,
        "CANNOT_BE_NEGATIVE",
        "Must be greater than or equal to 0. If the currency supports decimals, only two decimal place precision is supported.",
    ),
    issue(
        422,
        "CANNOT_BE_ZERO_OR_NEGATIVE",
        "Must be greater than zero. If the currency supports decimals, only two decimal place precision is supported.",
    ),
    issue(
        422,
        "CAPTURE_FULLY_REFUNDED",
        "The capture has already been fully refunded",
    ),
    issue(
        422,
        "CITY_REQUIRED",
        "The specified country requires a city (address.admin_area_2).",
    ),
    issue(
        422,
        "COMPLIANCE_VIOLATION",
        "Transaction is declined due to compliance violation.",
    ),
    issue(
        422,
        "CURRENCY_MISMATCH",
        "The currency of the amount does not match.",
    ),
    issue(
        422,
        "DECIMAL_PRECISION",
        "If the currency supports decimals, only two decimal place precision is supported.",
    ),
    issue(
        422,
        "DECIMALS_NOT_SUPPORTED",
        "Currency does not support decimals.",
    ),
    issue(
        422,
        "DUPLICATE_INVOICE_ID",
        "Duplicate Invoice ID detected. To avoid a potential duplicate transaction your account setting requires that Invoice Id be unique for each transaction.",
    ),
    issue(
        422,
        "DUPLICATE_REFERENCE_ID",
        "`reference_id` must be unique if multiple `purchase_unit` are provided.",
    ),
    issue(
        422,
        "DUPLICATE_REQUEST_ID",
        "The PayPal-Request-Id was used before with another request body.",
    ),
    issue(
        422,
        "INSTRUMENT_DECLINED",
        "The instrument presented  was either declined by the processor or bank, or it can't be used for this payment.",
    ),
    issue(
        422,
        "INVALID_CURRENCY_CODE",
        "Currency code is invalid or is not currently supported. Please refer https://developer.paypal.com/api/rest/reference/currency-codes/ for list of supported currency codes.",
    ),
    issue(
        422,
        "INVALID_JSON_POINTER_FORMAT",
        "Path should be a valid JSON Pointer https://tools.ietf.org/html/rfc6901 that references a location within the request where the operation is performed.",
    ),
    issue(
        422,
        "ITEM_TOTAL_MISMATCH",
        "Should equal sum of (unit_amount * quantity) across all items for a given purchase_unit.",
    ),
    issue(
        422,
        "ITEM_TOTAL_REQUIRED",
        "If item details are specified (items.unit_amount and items.quantity) corresponding amount.breakdown.item_total is required.",
    ),
    issue(
        422,
        "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED",
        "You have exceeded the maximum number of payment attempts.",
    ),
    issue(
        422,
        "MAX_NUMBER_OF_REFUNDS_EXCEEDED",
        "You have exceeded the maximum number of refund attempts for this capture.",
    ),
    issue(
        422,
        "MAX_VALUE_EXCEEDED",
        "Should be less than or equal to 999999999999999.99.",
    ),
    issue(
        422,
        "MULTI_CURRENCY_ORDER",
        "Multiple differing values of currency_code are not supported. Entire Order request must have the same currency_code.",
    ),
    issue(
        422,
        "ORDER_ALREADY_CAPTURED",
        "Order already captured.If 'intent=CAPTURE' only one capture per order is allowed.",
    ),
    issue(
        422,
        "ORDER_ALREADY_COMPLETED",
        "The order cannot be patched after it is completed.",
    ),
    issue(
        422,
        "ORDER_NOT_APPROVED",
        "Payer has not yet approved the Order for payment. Please redirect the payer to the 'rel':'approve' url returned as part of the HATEOAS links within the Create Order call or provide a valid `payment_source` in the request.",
    ),
    issue(
        422,
        "PARTIAL_REFUND_NOT_ALLOWED",
        "You cannot do a refund less than the original capture amount.",
    ),
    issue(
        422,
        "PATCH_PATH_REQUIRED",
        "Please specify a 'path' for the field for which the operation needs to be performed.",
    ),
    issue(
        422,
        "PATCH_VALUE_REQUIRED",
        "Please specify a 'value' to for the field that is being patched.",
    ),
    issue(
        422,
        "PAYEE_ACCOUNT_LOCKED_OR_CLOSED",
        "The merchant account is locked or closed.",
    ),
    issue(
        422,
        "PAYEE_ACCOUNT_RESTRICTED",
        "The merchant account is restricted.",
    ),
    issue(
        422,
        "PAYEE_BLOCKED_TRANSACTION",
        "The Fraud settings for this seller are such that this payment cannot be executed.",
    ),
    issue(
        422,
        "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
        "The payer account cannot be used for this transaction.",
    ),
    issue(422, "PAYER_ACCOUNT_RESTRICTED", "PAYER_ACCOUNT_RESTRICTED"),
    issue(
        422,
        "PAYER_ACTION_REQUIRED",
        "Transaction cannot complete successfully, instruct the buyer to return to PayPal.",
    ),
    issue(
        422,
        "PAYER_CANNOT_PAY",
        "Payer cannot pay for this transaction. Please contact the payer to find other ways to pay for this transaction.",
    ),
    issue(
        422,
        "PENDING_CAPTURE",
        "Cannot initiate a refund as the capture is pending. Capture is typically pending when the payer has funded the transaction using e-check/bank funded.",
    ),
    issue(
        422,
        "POSTAL_CODE_REQUIRED",
        "The specified country requires a postal code.",
    ),
    issue(
        422,
        "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING",
        "Transaction failed. Redirect the payer to select another funding source.",
    ),
    issue(
        422,
        "REFERENCE_ID_NOT_FOUND",
        "Filter expression value is incorrect. Please check the value of the reference_id and try again.",
    ),
    issue(
        422,
        "REFERENCE_ID_REQUIRED",
        "'reference_id' is required for each 'purchase_unit' if multiple 'purchase_unit' are provided.",
    ),
    issue(
        422,
        "REFUND_AMOUNT_EXCEEDED",
        "The refund amount must be less than or equal to the capture amount that has not yet been refunded.",
    ),
    issue(
        422,
        "REFUND_CAPTURE_CURRENCY_MISMATCH",
        "Refund must be in the same currency as the capture",
    ),
    issue(
        422,
        "REFUND_FAILED_INSUFFICIENT_FUNDS",
        "Capture could not be refunded due to insufficient funds. Please check to see if you have sufficient funds in your PayPal account or if the bank account linked to your PayPal account is verified and has sufficient funds.",
    ),
    issue(422, "REFUND_NOT_ALLOWED", "Capture cannot be refunded."),
    issue(
        422,
        "REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK",
        "Refunds are not allowed on this capture due to a chargeback on the card or bank. Please contact the payee to resolve the chargeback.",
    ),
    issue(
        422,
        "REFUND_TIME_LIMIT_EXCEEDED",
        "You are over the time limit to perform a refund on this capture",
    ),
    issue(
        422,
        "SHIPPING_ADDRESS_INVALID",
        "Provided shipping address is invalid.",
    ),
    issue(
        422,
        "TAX_TOTAL_MISMATCH",
        "Should equal sum of (tax * quantity) across all items for a given purchase_unit.",
    ),
    issue(
        422,
        "TAX_TOTAL_REQUIRED",
        "If item details are specified (items.tax_total and items.quantity) corresponding amount.breakdown.tax_total is required.",
    ),
    issue(
        422,
        "TRANSACTION_BLOCKED_BY_PAYEE",
        "Transaction blocked by Payee’s Fraud Protection settings.",
    ),
    issue(
        422,
        "TRANSACTION_DISPUTED",
        "Partial refunds cannot be offered at this time because there is an open case on this transaction. Visit the PayPal Resolution Center to review this case.",
    ),
    issue(
        422,
        "TRANSACTION_LIMIT_EXCEEDED",
        "Total payment amount exceeded transaction limit.",
    ),
    issue(
        422,
        "TRANSACTION_RECEIVING_LIMIT_EXCEEDED",
        "The transaction exceeds the receiver's receiving limit.",
    ),
    issue(422, "TRANSACTION_REFUSED", "The request was refused."),
    issue(
        422,
        "UNSUPPORTED_INTENT",
        "`intent=AUTHORIZE` is not supported for multiple purchase units. Only `intent=CAPTURE` is supported.",
    ),
    issue(
        422,
        "UNSUPPORTED_PATCH_PARAMETER_VALUE",
        "The value specified for this field is not currently supported.",
    ),
];

/// The issue of that name, if the simulator knows it.
pub(crate) fn find(name: &str) -> Option<&'static Issue> {
    ISSUES.iter().find(|issue| issue.name == name)
}

/// The error name and message that belong to a status.
pub(crate) const fn headline(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => (
            "INVALID_REQUEST",
            "Request is not well-formed, syntactically incorrect, or violates schema.",
        ),
        401 => (
            "AUTHENTICATION_FAILURE",
            "Authentication failed due to missing authorization header, or invalid authentication credentials.",
        ),
        403 => (
            "NOT_AUTHORIZED",
            "Authorization failed due to insufficient permissions.",
        ),
        404 => (
            "RESOURCE_NOT_FOUND",
            "The specified resource does not exist.",
        ),
        409 => (
            "RESOURCE_CONFLICT",
            "The server has detected a conflict while processing this request.",
        ),
        415 => (
            "UNSUPPORTED_MEDIA_TYPE",
            "The server does not support the request payload's media type.",
        ),
        422 => (
            "UNPROCESSABLE_ENTITY",
            "The requested action could not be performed, semantically incorrect, or failed business validation.",
        ),
        429 => (
            "RATE_LIMIT_REACHED",
            "Too many requests. Blocked due to rate limiting.",
        ),
        503 => ("SERVICE_UNAVAILABLE", "Service Unavailable."),
        _ => (
            "INTERNAL_SERVER_ERROR",
            "An internal server error occurred.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issues_are_sorted_by_status_and_named_once() {
        let mut names: Vec<_> = ISSUES.iter().map(|issue| issue.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(ISSUES.is_sorted_by_key(|issue| issue.status));
    }

    #[test]
    fn every_issue_has_a_headline_of_its_own() {
        for issue in ISSUES {
            assert_ne!(headline(issue.status).0, headline(500).0, "{}", issue.name);
        }
    }
}
