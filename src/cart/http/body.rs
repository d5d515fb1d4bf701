//! What clients send, parsed once.

use serde::Deserialize;
use utoipa::openapi::{Object, ObjectBuilder, schema::Type};
use validator::{Validate, ValidationError};

use crate::{
    cart::{
        model::{MAX_NAME, MAX_OPTIONS, MAX_VALUE, OptionFault, check_options},
        offers::Unresolved,
    },
    catalog::{Offer, Options},
    id::{ProductId, VariantId},
    problem::Problem,
};

/// A variant to be put into the cart.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AddLineRequest {
    /// The product.
    pub(super) product_id: ProductId,
    /// The variant; may be left out where the product has only one.
    pub(super) variant_id: Option<VariantId>,
    /// Units.
    #[validate(range(min = 1, max = 999))]
    #[schema(minimum = 1, maximum = 999)]
    pub(super) quantity: u32,
    /// What is chosen besides the variant, such as an engraving: at most 20, names of 1 to 64
    /// characters, values of at most 256.
    #[schema(schema_with = options_schema)]
    pub(super) options: Option<Options>,
}

/// The limits of options, which an attribute cannot say.
fn options_schema() -> Object {
    let text = |min, max| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(min))
            .max_length(Some(max))
    };
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .max_properties(Some(MAX_OPTIONS))
        .property_names(Some(text(1, MAX_NAME)))
        .additional_properties(Some(text(0, MAX_VALUE)))
        .build()
}

/// What is to change of a line; at least one of both.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[validate(schema(function = "says_something"))]
pub(super) struct SetLineRequest {
    /// Units; 0 removes the line.
    #[validate(range(max = 999))]
    #[schema(minimum = 0, maximum = 999)]
    pub(super) quantity: Option<u32>,
    /// The options in place of the present ones.
    #[schema(schema_with = options_schema)]
    pub(super) options: Option<Options>,
}

fn says_something(request: &SetLineRequest) -> Result<(), ValidationError> {
    if request.quantity.is_some() || request.options.is_some() {
        Ok(())
    } else {
        Err(ValidationError::new("required").with_message("give quantity, options or both".into()))
    }
}

/// A discount code.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AddDiscountRequest {
    /// The code, in capitals or small letters.
    #[validate(length(min = 1, max = 64))]
    #[schema(min_length = 1, max_length = 64, example = "SPRING-10")]
    pub(super) code: String,
}

/// The options that are the buyer's own: a variant's option that is repeated says nothing new, and one
/// that contradicts the variant is refused.
pub(super) fn own_options(options: Options, offer: Option<&Offer>) -> Result<Options, Problem> {
    check_options(&options).map_err(|fault| faulty(&fault))?;
    let mut own = options;
    for (name, of_variant) in offer.iter().flat_map(|offer| &offer.options) {
        match own.remove(name) {
            Some(chosen) if chosen != *of_variant => {
                return Err(Problem::field(
                    pointer(name),
                    "contradicts_variant",
                    "the variant decides this option; name the variant that has it",
                ));
            }
            _same_or_not_given => {}
        }
    }
    Ok(own)
}

fn pointer(name: &str) -> String {
    format!("/options/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn faulty(fault: &OptionFault) -> Problem {
    let message = fault.to_string();
    match fault {
        OptionFault::TooMany => Problem::field(
            "/options",
            "length",
            format!("at most {MAX_OPTIONS} options"),
        ),
        OptionFault::Length(name) => Problem::field(pointer(name), "length", message),
        OptionFault::ControlCharacter(name) => {
            Problem::field(pointer(name), "control_character", message)
        }
    }
}

/// The answer to a product that cannot be put into a cart.
pub(super) fn unresolved(error: Unresolved) -> Problem {
    match error {
        Unresolved::ProductNotFound => {
            Problem::field("/productId", "unknown_product", "there is no such product")
        }
        Unresolved::VariantNotFound => Problem::field(
            "/variantId",
            "unknown_variant",
            "the product has no such variant",
        ),
        Unresolved::VariantRequired => Problem::field(
            "/variantId",
            "required",
            "the product has several variants; name one",
        ),
        Unresolved::Store(error) => error.into(),
    }
}
