//! What an update has to say: where a cart differs from the one that was read, and nothing else.
//!
//! Places in an array stand for what they stood for when it was read, because the update is conditional
//! on the version. A short update is a short journal entry and a short event for every follower of the
//! change feed.

use bson::{Bson, Document};

use super::{
    Stored,
    document::{LineDocument, OptionDocument, SeenDocument},
    version,
};
use crate::{
    cart::model::Line,
    clock::Timestamp,
    mongo::{StoreError, to_array, to_document},
};

/// The fields to set. Literal values, never a pipeline: text of a buyer that begins with `$` stays text.
pub(super) fn difference(
    read: &Stored,
    next: &Stored,
    expires_at: Option<Timestamp>,
) -> Result<Document, StoreError> {
    let (before, after) = (&read.cart, &next.cart);
    let mut set = Document::new();
    set.insert("version", version(after.version)?);
    set.insert(
        "updated_at",
        after.updated_at.unwrap_or_else(Timestamp::now),
    );
    if before.items != after.items {
        lines(&before.items, &after.items, &mut set)?;
    }
    if before.discounts != after.discounts {
        let codes: Vec<Bson> = after.discounts.iter().map(Bson::from).collect();
        set.insert("discounts", codes);
    }
    for (place, mark) in next.marks.iter().enumerate() {
        if read.marks.get(place) != Some(mark) {
            set.insert(format!("marks.{place}"), to_document(mark)?);
        }
    }
    if let Some(expires_at) = expires_at {
        set.insert("expires_at", expires_at);
    }
    Ok(set)
}

/// Line by line where all are still in their places, else whole.
fn lines(before: &[Line], after: &[Line], set: &mut Document) -> Result<(), StoreError> {
    let is_same = |(held, line): (&Line, &Line)| {
        (held.id, held.product, held.variant) == (line.id, line.product, line.variant)
    };
    if after.len() < before.len() || !before.iter().zip(after).all(is_same) {
        let whole: Vec<_> = after.iter().map(LineDocument::of).collect();
        set.insert("items", to_array(&whole)?);
        return Ok(());
    }
    for (place, (held, line)) in before.iter().zip(after).enumerate() {
        if held.quantity != line.quantity {
            set.insert(format!("items.{place}.quantity"), i64::from(line.quantity));
        }
        if held.options != line.options {
            let options = to_array(&OptionDocument::all(&line.options))?;
            set.insert(format!("items.{place}.options"), options);
        }
        if held.seen != line.seen {
            let seen = to_document(&SeenDocument::of(&line.seen))?;
            set.insert(format!("items.{place}.seen"), seen);
        }
    }
    for (place, line) in after.iter().enumerate().skip(before.len()) {
        set.insert(
            format!("items.{place}"),
            to_document(&LineDocument::of(line))?,
        );
    }
    Ok(())
}
