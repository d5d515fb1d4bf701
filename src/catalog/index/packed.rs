//! Lists of numbers in few bytes.

/// Bits of a byte that hold a part of a number; the last says that more follows.
const BITS: u32 = 7;
const MORE: u8 = 1 << BITS;

/// Ascending numbers, each as its distance from the one before, seven bits to a byte.
#[derive(Debug, Default)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    /// Packs numbers that ascend.
    pub(super) fn new(numbers: &[u32]) -> Self {
        let mut bytes = Vec::with_capacity(numbers.len().saturating_mul(2));
        let mut before = 0;
        for number in numbers {
            let mut distance = number.wrapping_sub(before);
            before = *number;
            while distance >= u32::from(MORE) {
                bytes.push(low(distance) | MORE);
                distance >>= BITS;
            }
            bytes.push(low(distance));
        }
        Self(bytes.into())
    }

    /// The numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let mut bytes = self.0.iter().copied();
        let mut before = 0_u32;
        std::iter::from_fn(move || {
            let mut distance = 0;
            let mut shift = 0;
            loop {
                let byte = bytes.next()?;
                distance |= u32::from(byte & !MORE) << shift;
                if byte & MORE == 0 {
                    break;
                }
                shift += BITS;
            }
            before = before.wrapping_add(distance);
            Some(before)
        })
    }
}

/// The lowest seven bits.
fn low(number: u32) -> u8 {
    u8::try_from(number & u32::from(!MORE)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Packed;

    proptest! {
        #[test]
        fn numbers_come_back(numbers in prop::collection::btree_set(any::<u32>(), 0..50), small in prop::collection::btree_set(0_u32..900, 0..50)) {
            let numbers: BTreeSet<u32> = numbers.into_iter().chain(small).collect();
            let numbers: Vec<u32> = numbers.into_iter().collect();
            let packed: Vec<u32> = Packed::new(&numbers).iter().collect();
            prop_assert_eq!(packed, numbers);
        }
    }
}
