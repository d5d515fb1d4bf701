//! The cart's rules, by example and by property.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::cart::testing::{line, line_of, offer};

fn user(intent: CartIntent) -> Command {
    Command {
        owner: Owner::User,
        makes: true,
        expected: None,
        intent,
    }
}

fn empty() -> Cart {
    Cart::empty(CartId::new(), Owner::User)
}

fn now() -> Timestamp {
    Timestamp::from_millis(1)
}

fn after(cart: &Cart, intents: impl IntoIterator<Item = CartIntent>) -> Result<Cart, CartRefusal> {
    intents.into_iter().try_fold(cart.clone(), |cart, intent| {
        cart.apply(&user(intent), now())
    })
}

fn set(line: LineId, quantity: Option<u32>, options: Option<Options>) -> CartIntent {
    CartIntent::SetLine {
        line,
        quantity,
        options,
        seen: None,
    }
}

fn code(text: &str) -> DiscountCode {
    DiscountCode::parse(text).unwrap()
}

fn merge(lines: Vec<Line>) -> CartIntent {
    CartIntent::Merge {
        lines,
        discounts: Vec::new(),
    }
}

fn engraved(text: &str) -> Options {
    Options::from([("engraving".to_owned(), text.to_owned())])
}

#[test]
fn the_same_variant_and_options_share_a_line_whose_id_stays() {
    let mug = offer(1_250);
    let (first, again) = (line_of(&mug, 1), line_of(&mug, 2));
    let other = Line {
        options: engraved("Zoë"),
        ..line_of(&mug, 1)
    };
    let cart = after(
        &empty(),
        [first.clone(), again, other.clone()].map(CartIntent::Add),
    )
    .unwrap();
    assert_eq!(cart.version, 3);
    let held: Vec<_> = cart
        .items
        .iter()
        .map(|line| (line.id, line.quantity))
        .collect();
    assert_eq!(held, [(first.id, 3), (other.id, 1)]);
}

#[test]
fn units_stay_within_one_line_s_limits_whatever_they_come_from() {
    let mug = offer(1_250);
    let full = line_of(&mug, MAX_QUANTITY);
    let cart = after(&empty(), [CartIntent::Add(full.clone())]).unwrap();
    let refusals = [
        CartIntent::Add(line_of(&mug, 1)),
        CartIntent::Add(line(0)),
        CartIntent::Add(line(MAX_QUANTITY + 1)),
        CartIntent::Add(line(u32::MAX)),
        set(full.id, Some(MAX_QUANTITY + 1), None),
        set(full.id, Some(u32::MAX), None),
    ];
    for intent in refusals {
        assert_eq!(after(&cart, [intent]), Err(CartRefusal::Quantity));
    }
    let twin = Line {
        options: engraved("x"),
        ..line_of(&mug, 1)
    };
    let cart = after(&cart, [CartIntent::Add(twin.clone())]).unwrap();
    let too_many_together = set(twin.id, None, Some(Options::new()));
    assert_eq!(
        after(&cart, [too_many_together]),
        Err(CartRefusal::Quantity)
    );
}

#[test]
fn a_cart_takes_two_hundred_lines_and_no_more() {
    let lines: Vec<_> = (0..MAX_LINES).map(|_| line(1)).collect();
    let cart = after(&empty(), lines.clone().into_iter().map(CartIntent::Add)).unwrap();
    assert_eq!(
        after(&cart, [CartIntent::Add(line(1))]),
        Err(CartRefusal::Full)
    );
    let more = Line {
        id: LineId::new(),
        ..lines[0].clone()
    };
    assert_eq!(
        after(&cart, [CartIntent::Add(more)]).unwrap().items[0].quantity,
        2
    );
}

#[test]
fn setting_changes_one_line_and_zero_removes_it() {
    let (mug, tea) = (line(1), line(2));
    let cart = after(
        &empty(),
        [CartIntent::Add(mug.clone()), CartIntent::Add(tea.clone())],
    )
    .unwrap();
    let set_both = after(&cart, [set(mug.id, Some(7), Some(engraved("Zoë")))]).unwrap();
    assert_eq!(
        (set_both.items[0].quantity, &set_both.items[0].options),
        (7, &engraved("Zoë"))
    );
    assert_eq!(set_both.items[1], tea);
    let removed = after(&cart, [set(mug.id, Some(0), None)]).unwrap();
    assert_eq!((removed.items, removed.version), (vec![tea], 3));
    assert_eq!(
        after(&cart, [set(LineId::new(), Some(1), None)]),
        Err(CartRefusal::LineNotFound)
    );
    assert_eq!(
        after(&cart, [CartIntent::RemoveLine(LineId::new())]),
        Err(CartRefusal::LineNotFound)
    );
}

#[test]
fn a_line_that_becomes_like_another_takes_its_units_in() {
    let mug = offer(1_250);
    let plain = line_of(&mug, 3);
    let named = Line {
        options: engraved("Zoë"),
        ..line_of(&mug, 4)
    };
    for (kept, gone) in [(&plain, &named), (&named, &plain)] {
        let cart = after(
            &empty(),
            [
                CartIntent::Add(plain.clone()),
                CartIntent::Add(line(1)),
                CartIntent::Add(named.clone()),
            ],
        )
        .unwrap();
        let cart = after(&cart, [set(kept.id, Some(5), Some(gone.options.clone()))]).unwrap();
        assert_eq!(cart.items.len(), 2);
        let line = cart.items.iter().find(|line| line.id == kept.id).unwrap();
        assert_eq!(
            (line.quantity, &line.options),
            (5 + gone.quantity, &gone.options)
        );
    }
}

#[test]
fn a_command_over_another_version_or_by_someone_else_changes_nothing() {
    let cart = after(&empty(), [CartIntent::Add(line(1))]).unwrap();
    let clear = user(CartIntent::Clear);
    let stale = Command {
        expected: Some(vec![0]),
        ..clear.clone()
    };
    let fitting = Command {
        expected: Some(vec![3, 1]),
        ..clear.clone()
    };
    let foreign = Command {
        owner: Owner::Guest("hash".to_owned()),
        ..clear
    };
    assert_eq!(cart.apply(&stale, now()), Err(CartRefusal::Stale));
    assert_eq!(cart.apply(&foreign, now()), Err(CartRefusal::Gone));
    assert_eq!(cart.apply(&fitting, now()).unwrap().version, 2);
}

#[test]
fn codes_stand_in_the_order_entered_once_each_and_not_too_many() {
    let add = |text| CartIntent::AddDiscount(code(text));
    let cart = after(&empty(), ["B", "A", "b"].map(add)).unwrap();
    assert_eq!(cart.discounts, [code("B"), code("A")]);
    assert_eq!(cart.version, 3, "a code that is in already is accepted");
    let cart = after(&cart, ["C", "D", "E"].map(add)).unwrap();
    assert_eq!(cart.discounts.len(), MAX_CODES);
    assert_eq!(after(&cart, [add("F")]), Err(CartRefusal::TooManyDiscounts));
    let take_out = CartIntent::RemoveDiscount(code("A"));
    let cart = after(&cart, [take_out.clone()]).unwrap();
    assert!(!cart.discounts.contains(&code("A")));
    assert_eq!(after(&cart, [take_out]), Err(CartRefusal::DiscountNotFound));
    let merge = CartIntent::Merge {
        lines: Vec::new(),
        discounts: ["B", "X", "Y"].map(code).to_vec(),
    };
    let merged = after(&cart, [merge]).unwrap();
    assert_eq!(merged.discounts, ["B", "C", "D", "E", "X"].map(code));
}

#[test]
fn a_guest_s_cart_is_made_only_by_a_new_token() {
    let guest = |makes| Command {
        owner: Owner::Guest("hash".to_owned()),
        makes,
        ..user(CartIntent::Add(line(1)))
    };
    let id = CartId::new();
    let batch = fold(id, None, &[guest(false)], now());
    assert!(batch.answers == [Err(CartRefusal::Gone)] && batch.next.is_none());
    let batch = fold(id, None, &[guest(true), guest(false)], now());
    assert_eq!(batch.next.unwrap().version, 2);
}

#[test]
fn ordering_takes_out_what_was_ordered_and_leaves_what_came_later() {
    let (mug, tea, jar) = (line(5), line(2), line(1));
    let cart = after(
        &empty(),
        [&mug, &tea].map(|line| CartIntent::Add(line.clone())),
    )
    .unwrap();
    let left = cart
        .without(&[(mug.id, 3), (tea.id, 2), (jar.id, 1)], now())
        .unwrap();
    assert_eq!(left.version, cart.version + 1);
    let held: Vec<_> = left
        .items
        .iter()
        .map(|line| (line.id, line.quantity))
        .collect();
    assert_eq!(held, [(mug.id, 2)]);
    assert_eq!(cart.without(&[(jar.id, 1)], now()), None);
    let cart = Cart {
        discounts: vec![code("SPRING")],
        ..cart
    };
    let emptied = cart.without(&[(mug.id, 9), (tea.id, 2)], now()).unwrap();
    assert!(emptied.items.is_empty() && emptied.discounts.is_empty());
}

/// A few variants, options and lines, so that commands meet.
#[derive(Debug, Clone)]
enum Wish {
    Add {
        variant: usize,
        options: bool,
        quantity: u32,
    },
    Set {
        line: usize,
        quantity: Option<u32>,
        options: Option<bool>,
    },
    Remove {
        line: usize,
    },
    Clear,
    SetOver {
        line: usize,
        quantity: u32,
        version: u64,
    },
    Enter(usize),
    TakeOut(usize),
    Merge(Vec<(usize, bool, u32)>, usize),
    /// By someone else, who must not be heard.
    Foreign,
}

const CODES: [&str; 7] = ["A", "B", "C", "D", "E", "F", "G"];

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        6 => (0..4_usize, any::<bool>(), 0..400_u32)
            .prop_map(|(variant, options, quantity)| Wish::Add { variant, options, quantity }),
        4 => (0..8_usize, proptest::option::of(0..1_100_u32), proptest::option::of(any::<bool>()))
            .prop_map(|(line, quantity, options)| Wish::Set { line, quantity, options }),
        2 => (0..8_usize).prop_map(|line| Wish::Remove { line }),
        1 => Just(Wish::Clear),
        2 => (0..8_usize, 1..50_u32, 0..12_u64)
            .prop_map(|(line, quantity, version)| Wish::SetOver { line, quantity, version }),
        2 => (0..7_usize).prop_map(Wish::Enter),
        1 => (0..7_usize).prop_map(Wish::TakeOut),
        1 => (prop::collection::vec((0..4_usize, any::<bool>(), 1..=999_u32), 0..4), 0..7_usize)
            .prop_map(|(lines, code)| Wish::Merge(lines, code)),
        1 => Just(Wish::Foreign),
    ]
}

fn choice(options: bool) -> Options {
    if options {
        engraved("Zoë")
    } else {
        Options::new()
    }
}

/// The command of a wish; lines are named as those that the cart has now, as a client would.
fn command(wish: &Wish, variants: &[Line], shown: Option<&Cart>) -> Command {
    let lines: &[Line] = shown.map_or(&[], |cart| &cart.items);
    let line = |index: usize| {
        let known = lines.get(index % lines.len().max(1));
        known.map_or_else(LineId::new, |line| line.id)
    };
    match wish {
        Wish::Add {
            variant,
            options,
            quantity,
        } => user(CartIntent::Add(Line {
            id: LineId::new(),
            options: choice(*options),
            quantity: *quantity,
            ..variants[*variant].clone()
        })),
        Wish::Set {
            line: index,
            quantity,
            options,
        } => user(set(line(*index), *quantity, options.map(choice))),
        Wish::Remove { line: index } => user(CartIntent::RemoveLine(line(*index))),
        Wish::Clear => user(CartIntent::Clear),
        Wish::SetOver {
            line: index,
            quantity,
            version,
        } => Command {
            expected: Some(vec![*version]),
            ..user(set(line(*index), Some(*quantity), None))
        },
        Wish::Enter(which) => user(CartIntent::AddDiscount(code(CODES[*which]))),
        Wish::TakeOut(which) => user(CartIntent::RemoveDiscount(code(CODES[*which]))),
        Wish::Merge(theirs, which) => {
            let lines = theirs.iter().map(|(variant, options, quantity)| Line {
                id: LineId::new(),
                options: choice(*options),
                quantity: *quantity,
                ..variants[*variant].clone()
            });
            user(CartIntent::Merge {
                lines: lines.collect(),
                discounts: vec![code(CODES[*which])],
            })
        }
        Wish::Foreign => Command {
            owner: Owner::Guest("hash".to_owned()),
            makes: false,
            ..user(CartIntent::Clear)
        },
    }
}

fn is_sound(cart: &Cart) -> bool {
    let mut choices: Vec<_> = cart
        .items
        .iter()
        .map(|line| (line.variant, &line.options))
        .collect();
    let mut ids: Vec<_> = cart.items.iter().map(|line| line.id).collect();
    choices.sort();
    choices.dedup();
    ids.sort();
    ids.dedup();
    let within = |line: &Line| (1..=MAX_QUANTITY).contains(&line.quantity);
    let mut codes = cart.discounts.clone();
    codes.sort();
    codes.dedup();
    codes.len() == cart.discounts.len()
        && codes.len() <= MAX_CODES
        && choices.len() == cart.items.len()
        && ids.len() == cart.items.len()
        && cart.items.iter().all(within)
}

fn units(lines: &[Line]) -> BTreeMap<(VariantId, Options), u32> {
    let mut units = BTreeMap::new();
    for line in lines {
        *units
            .entry((line.variant, line.options.clone()))
            .or_insert(0) += line.quantity;
    }
    units
}

/// One node's session, as far as the core goes: what it remembers, and the commands that wait.
#[derive(Default)]
struct Node {
    remembered: Option<Arc<Cart>>,
    waiting: Vec<Command>,
}

proptest! {
    /// Nodes write at any moment, over whatever they remember, any number of commands at once.
    #[test]
    fn any_interleaving_of_sessions_is_the_fold_in_version_order(
        steps in prop::collection::vec((0..3_usize, prop::option::weighted(0.7, wish())), 1..80),
    ) {
        let variants: Vec<_> = (0..4).map(|_| line(1)).collect();
        let id = CartId::new();
        let mut database: Option<Arc<Cart>> = None;
        let mut accepted: BTreeMap<u64, (Command, Arc<Cart>)> = BTreeMap::new();
        let mut nodes: [Node; 3] = Default::default();
        for (node, wish) in &steps {
            let node = &mut nodes[*node];
            if let Some(wish) = wish {
                node.waiting.push(command(wish, &variants, database.as_deref()));
                continue;
            }
            let commands = std::mem::take(&mut node.waiting);
            loop {
                let batch = fold(id, node.remembered.as_ref(), &commands, now());
                let read = node.remembered.as_ref().map_or(0, |cart| cart.version);
                if database.as_ref().map_or(0, |cart| cart.version) != read {
                    node.remembered.clone_from(&database);
                    continue;
                }
                for (command, answer) in commands.into_iter().zip(&batch.answers) {
                    if let Ok(cart) = answer {
                        prop_assert!(is_sound(cart));
                        prop_assert!(command.owner == Owner::User, "a stranger was heard");
                        let twice = accepted.insert(cart.version, (command, cart.clone()));
                        prop_assert!(twice.is_none(), "a version twice");
                    }
                }
                node.remembered.clone_from(&batch.next);
                database = batch.next;
                break;
            }
        }
        let mut folded = Cart::empty(id, Owner::User);
        for (command, answered) in accepted.values() {
            folded = folded.apply(command, now()).expect("what was accepted is accepted again");
            prop_assert_eq!(&folded, &**answered, "each answer is the cart at its version");
        }
        let found = database.as_deref().cloned().unwrap_or_else(|| Cart::empty(id, Owner::User));
        prop_assert_eq!(u64::try_from(accepted.len()).unwrap(), found.version);
        prop_assert_eq!(found, folded);
    }

    #[test]
    fn a_merge_adds_up_to_the_limit(
        ours in prop::collection::vec((0..4_usize, any::<bool>(), 1..=999_u32), 0..8),
        theirs in prop::collection::vec((0..4_usize, any::<bool>(), 1..=999_u32), 0..8),
    ) {
        let variants: Vec<_> = (0..4).map(|_| line(1)).collect();
        let cart = |lines: &[(usize, bool, u32)]| {
            let mut cart = empty();
            for (variant, options, quantity) in lines {
                let wish = Wish::Add { variant: *variant, options: *options, quantity: *quantity };
                cart = cart.apply(&command(&wish, &variants, None), now()).unwrap_or(cart);
            }
            cart
        };
        let (ours, theirs) = (cart(&ours), cart(&theirs));
        let merged = after(&ours, [merge(theirs.items.clone())]).unwrap();
        prop_assert!(is_sound(&merged));
        prop_assert_eq!(merged.version, ours.version + 1);
        let mut sum = units(&ours.items);
        for (choice, quantity) in units(&theirs.items) {
            *sum.entry(choice).or_insert(0) += quantity;
        }
        for quantity in sum.values_mut() {
            *quantity = (*quantity).min(MAX_QUANTITY);
        }
        prop_assert_eq!(units(&merged.items), sum);
        for line in &ours.items {
            prop_assert!(merged.items.iter().any(|kept| kept.id == line.id));
        }
    }
}

#[test]
fn a_merge_leaves_out_what_a_cart_has_no_room_for() {
    let ours = Cart {
        items: (0..MAX_LINES).map(|_| line(1)).collect(),
        ..empty()
    };
    let shared = Line {
        id: LineId::new(),
        ..ours.items[3].clone()
    };
    let merged = after(&ours, [merge(vec![line(1), shared])]).unwrap();
    assert_eq!(
        (merged.items.len(), merged.items[3].quantity),
        (MAX_LINES, 2)
    );
}
