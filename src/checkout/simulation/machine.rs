//! The machine: one thread, virtual time, messages between nodes and the outside.
//!
//! Everything that the core asks of the world is a message that travels to the database or to PayPal,
//! takes effect there at one moment, and is answered: [`Link::ask`]. A node that crashes loses its tasks
//! wherever they stand; its messages on the way may arrive all the same.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap},
    fmt::{self, Write as _},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Wake, Waker},
};

use super::{Flaw, Queue, buyers::Buyers, chance::Chance, database::Database, paypal::PayPalModel};
use crate::id::CheckoutId;

/// Milliseconds of virtual time.
pub(super) type Millis = i64;

type Work = Box<dyn FnOnce(&mut State) + Send>;
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The longest line of a trace, in bytes.
const WIDTH: usize = 240;

/// How often things go wrong, in thousandths of messages.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weather {
    /// Errors: not sent, done and then lost, done later.
    pub(super) errors: u64,
    /// Messages that stay on the way for longer than a reservation lasts.
    pub(super) stalls: u64,
    /// Crashes of the sender.
    pub(super) crashes: u64,
    /// Webhooks that are lost, of a thousand.
    pub(super) lost_webhooks: u64,
}

/// What goes wrong with one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is overtaken by others.
    Slow,
    /// It takes effect after every reservation has lapsed.
    Stalled,
    /// Its answer comes after every reservation has lapsed.
    AnswerStalled,
    /// It is given up, and takes effect all the same; or, where it changes nothing, is not sent.
    Unanswered,
    /// Its sender dies before it takes effect.
    CrashBefore,
    /// Its sender dies, and it takes effect.
    CrashAfter,
}

impl Fault {
    /// Every one.
    pub(super) const ALL: [Self; 6] = [
        Self::Slow,
        Self::Stalled,
        Self::AnswerStalled,
        Self::Unanswered,
        Self::CrashBefore,
        Self::CrashAfter,
    ];
}

/// Longer than whatever else is under way takes.
const SLOW: Millis = 900;
/// Longer than a reservation and an approval.
const STALLED: Millis = 200_000;

/// A node, as the world sees it.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeState {
    /// Counts its starts: what an earlier life asked for is of no use to this one.
    pub(super) life: u32,
    pub(super) up: bool,
    pub(super) queue: Queue,
}

impl NodeState {
    fn started(life: u32) -> Self {
        Self {
            life,
            up: true,
            queue: Queue::default(),
        }
    }
}

/// Something that will happen.
struct Event {
    at: Millis,
    number: u64,
    work: Work,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Event {}
impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Event {
    /// The earliest is the greatest: the heap gives it first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// What was seen, as text where it is wanted, and always as a digest.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) lines: Option<Vec<String>>,
    pub(super) digest: u64,
}

impl Trace {
    /// FNV-1a, over bytes.
    fn add(&mut self, bytes: &[u8]) {
        let mut digest = self.digest;
        for byte in bytes {
            digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        self.digest = digest;
    }
}

/// The whole world.
pub(super) struct State {
    pub(super) now: Millis,
    pub(super) chance: Chance,
    pub(super) weather: Weather,
    /// Faults at messages of the core, by number; besides those of the weather.
    pub(super) faults: Vec<(u32, Fault)>,
    pub(super) flaw: Flaw,
    pub(super) database: Database,
    pub(super) paypal: PayPalModel,
    pub(super) buyers: Buyers,
    pub(super) nodes: Vec<NodeState>,
    pub(super) trace: Trace,
    /// Messages that the core has sent.
    pub(super) messages: u32,
    /// When the last stall, late message or restart is over.
    pub(super) last_fault: Millis,
    me: Weak<Mutex<State>>,
    number: u64,
    events: BinaryHeap<Event>,
    begun: Vec<(usize, Task)>,
    crashed: Vec<usize>,
}

impl State {
    pub(super) fn new(chance: Chance, flaw: Flaw, nodes: usize, keep_trace: bool) -> Self {
        Self {
            now: 0,
            chance,
            weather: Weather::default(),
            faults: Vec::new(),
            flaw,
            database: Database::default(),
            paypal: PayPalModel::default(),
            buyers: Buyers::default(),
            nodes: (0..nodes).map(|_| NodeState::started(0)).collect(),
            trace: Trace {
                lines: keep_trace.then(Vec::new),
                digest: 0xCBF2_9CE4_8422_2325,
            },
            messages: 0,
            last_fault: 0,
            me: Weak::new(),
            number: 0,
            events: BinaryHeap::new(),
            begun: Vec::new(),
            crashed: Vec::new(),
        }
    }

    /// Lets `work` happen `after` from now.
    pub(super) fn after(&mut self, after: Millis, work: impl FnOnce(&mut Self) + Send + 'static) {
        self.number += 1;
        self.events.push(Event {
            at: self.now + after,
            number: self.number,
            work: Box::new(work),
        });
    }

    /// Begins a task on a node; nothing happens where it is down.
    pub(super) fn begin(&mut self, node: usize, task: Task) {
        if self.nodes[node].up {
            self.begun.push((node, task));
        }
    }

    /// Writes down that `what` happened, `detail` only where text is kept.
    pub(super) fn note(&mut self, what: &str, detail: &dyn fmt::Debug) {
        self.trace.add(what.as_bytes());
        self.trace.add(&self.now.to_le_bytes());
        if let Some(lines) = &mut self.trace.lines {
            let mut line = String::new();
            let seconds = self.now / 1_000;
            let _ = write!(
                line,
                "{seconds:>6}.{:03} {what} {detail:?}",
                self.now % 1_000
            );
            line.truncate(line.floor_char_boundary(WIDTH));
            lines.push(line);
        }
    }

    /// Ends a node with all that it was doing, and starts it again later.
    fn crash(&mut self, node: usize) {
        if !self.nodes[node].up {
            return;
        }
        self.note("crash", &node);
        self.nodes[node].up = false;
        self.nodes[node].life += 1;
        self.crashed.push(node);
        let down = self.chance.between(50, 20_000);
        self.fault_lasts(down);
        self.after(down, move |state| {
            state.note("restart", &node);
            state.nodes[node] = NodeState::started(state.nodes[node].life);
            state.start_sweeping(node);
        });
    }

    /// The wires of a node, where it is up.
    pub(super) fn link(&self, node: usize) -> Option<Link> {
        let NodeState { life, up, .. } = self.nodes[node];
        let shared = Shared(self.me.upgrade()?);
        up.then_some(Link { shared, node, life })
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.pop()
    }
}

/// Why an answer did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// Certainly not done.
    Unsent,
    /// Done, not done, or done later.
    Unknown,
}

/// Where an answer will lie.
struct Slot<R>(Arc<Mutex<(Option<R>, Option<Waker>)>>);

impl<R> Slot<R> {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((None, None))))
    }

    fn fill(&self, answer: R) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.0 = Some(answer);
        if let Some(waker) = slot.1.take() {
            waker.wake();
        }
    }
}

impl<R> Clone for Slot<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R> Future for Slot<R> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = slot.0.take() {
            return Poll::Ready(answer);
        }
        slot.1 = Some(context.waker().clone());
        Poll::Pending
    }
}

/// The world, shared.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn new(state: State) -> Self {
        let shared = Self(Arc::new(Mutex::new(state)));
        shared.lock().me = Arc::downgrade(&shared.0);
        shared
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It changes nothing.
    Read,
    /// It may be done and its answer lost.
    Write,
}

/// A node's wires to the world.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) shared: Shared,
    pub(super) node: usize,
    pub(super) life: u32,
}

/// What becomes of a message.
enum Fate {
    /// There and back.
    Fine(Millis, Millis),
    Unsent(Millis),
    /// Done, and the answer lost.
    Mute(Millis, Millis),
    /// Given up by the sender, and done after that.
    Late(Millis, Millis),
}

impl State {
    fn fate(&mut self, kind: Kind, fault: Option<Fault>) -> Fate {
        let (there, back) = (self.delay(), self.delay());
        if let Some(fault) = fault {
            self.fault_lasts(there + STALLED + back);
            return match (fault, kind) {
                (Fault::Slow, _) => Fate::Fine(there + SLOW, back),
                (Fault::Stalled, _) => Fate::Fine(there + STALLED, back),
                (Fault::AnswerStalled, _) => Fate::Fine(there, back + STALLED),
                (Fault::Unanswered, Kind::Read) => Fate::Unsent(there),
                (Fault::Unanswered, Kind::Write) => Fate::Mute(there, back),
                (Fault::CrashBefore | Fault::CrashAfter, _) => Fate::Fine(there, back),
            };
        }
        if self.weather.errors > 0 && self.chance.yes(self.weather.errors) {
            return match (kind, self.chance.below(4)) {
                (_, 0) | (Kind::Read, _) => Fate::Unsent(there),
                (Kind::Write, 1 | 2) => Fate::Mute(there, back),
                (Kind::Write, _) => {
                    let later = self.chance.between(1, 40_000);
                    self.fault_lasts(there + later);
                    Fate::Late(there, later)
                }
            };
        }
        if self.weather.stalls > 0 && self.chance.yes(self.weather.stalls) {
            let stall = self.chance.between(1_000, 200_000);
            self.fault_lasts(there + stall + back);
            return if self.chance.yes(500) {
                Fate::Fine(there + stall, back)
            } else {
                Fate::Fine(there, back + stall)
            };
        }
        Fate::Fine(there, back)
    }

    fn fault_lasts(&mut self, pause: Millis) {
        self.last_fault = self.last_fault.max(self.now + pause);
    }

    /// How long a message is on its way: mostly milliseconds, at times much longer than its like.
    fn delay(&mut self) -> Millis {
        if self.chance.yes(60) {
            self.chance.between(20, 1_500)
        } else {
            self.chance.between(1, 15)
        }
    }
}

impl Link {
    /// Sends a message, lets it take effect, and brings back the answer.
    pub(super) async fn ask<R: fmt::Debug + Send + 'static>(
        &self,
        (what, about): (&'static str, Option<CheckoutId>),
        kind: Kind,
        work: impl FnOnce(&mut State) -> R + Send + 'static,
    ) -> Result<R, Lost> {
        let slot = Slot::new();
        self.send((what, about), kind, slot.clone(), work);
        slot.await
    }

    fn send<R: fmt::Debug + Send + 'static>(
        &self,
        (what, about): (&'static str, Option<CheckoutId>),
        kind: Kind,
        slot: Slot<Result<R, Lost>>,
        work: impl FnOnce(&mut State) -> R + Send + 'static,
    ) {
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        let (node, life) = (self.node, self.life);
        if state.nodes[node].life != life {
            return;
        }
        state.messages += 1;
        if state.weather.crashes > 0 && state.chance.yes(state.weather.crashes) {
            let after = state.chance.between(0, 30);
            state.after(after, move |state| {
                // Not once the storm is over.
                if state.weather.crashes > 0 {
                    state.crash(node);
                }
            });
        }
        let number = state.messages;
        let fault = state.faults.iter().find(|(at, _)| *at == number);
        let fault = fault.map(|(_, fault)| *fault);
        if matches!(fault, Some(Fault::CrashBefore | Fault::CrashAfter)) {
            state.crash(node);
        }
        // A message of a node that has crashed may have left it, or not.
        let survives = state.chance.yes(500) && fault != Some(Fault::CrashBefore);
        let take_effect = move |state: &mut State| {
            if state.nodes[node].life != life && !survives {
                return None;
            }
            let answer = work(state);
            let stands = about.and_then(|id| state.database.checkouts.get(&id));
            let stands = stands.map(|found| (found.status, found.stock_open));
            state.note(what, &(node, about, stands, &answer));
            Some(answer)
        };
        match state.fate(kind, fault) {
            Fate::Fine(there, back) => state.after(there, move |state| {
                if let Some(answer) = take_effect(state) {
                    state.after(back, move |_| slot.fill(Ok(answer)));
                }
            }),
            Fate::Unsent(there) => state.after(there, move |state| {
                state.note(what, &(node, about, Lost::Unsent));
                slot.fill(Err(Lost::Unsent));
            }),
            Fate::Mute(there, back) => state.after(there, move |state| {
                if take_effect(state).is_some() {
                    state.after(back, move |_| slot.fill(Err(Lost::Unknown)));
                }
            }),
            Fate::Late(there, later) => {
                state.after(there, move |_| slot.fill(Err(Lost::Unknown)));
                state.after(there + later, move |state| {
                    take_effect(state);
                });
            }
        }
    }

    /// Waits.
    pub(super) async fn sleep(&self, pause: Millis) {
        let slot = Slot::new();
        let filled = slot.clone();
        self.shared.lock().after(pause, move |_| filled.fill(()));
        slot.await;
    }
}

/// Puts a task on the list of those that can go on.
struct TaskWaker {
    id: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.push(self.id);
    }
}

struct Running {
    node: usize,
    task: Task,
    waker: Waker,
}

/// Runs the tasks and the events.
pub(super) struct Machine {
    pub(super) shared: Shared,
    tasks: BTreeMap<u64, Running>,
    ready: Arc<Mutex<Vec<u64>>>,
    next: u64,
}

impl Machine {
    pub(super) fn new(shared: Shared) -> Self {
        Self {
            shared,
            tasks: BTreeMap::new(),
            ready: Arc::default(),
            next: 0,
        }
    }

    /// Runs until `enough`, or until nothing is left to happen.
    pub(super) fn run(&mut self, enough: impl Fn(&State) -> bool) {
        loop {
            self.take_in();
            let ready = self
                .ready
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            if let Some(id) = ready {
                self.poll(id);
                continue;
            }
            let mut state = self.shared.lock();
            if enough(&state) {
                return;
            }
            let Some(event) = state.next_event() else {
                return;
            };
            state.now = state.now.max(event.at);
            (event.work)(&mut state);
        }
    }

    /// Takes in the tasks that were begun, and drops those of nodes that have crashed.
    fn take_in(&mut self) {
        let (begun, crashed) = {
            let mut state = self.shared.lock();
            if state.begun.is_empty() && state.crashed.is_empty() {
                return;
            }
            (
                std::mem::take(&mut state.begun),
                std::mem::take(&mut state.crashed),
            )
        };
        for node in crashed {
            self.tasks.retain(|_, running| running.node != node);
        }
        for (node, task) in begun {
            let id = self.next;
            self.next += 1;
            let waker = Arc::new(TaskWaker {
                id,
                ready: self.ready.clone(),
            });
            waker.clone().wake();
            let waker = Waker::from(waker);
            self.tasks.insert(id, Running { node, task, waker });
        }
    }

    fn poll(&mut self, id: u64) {
        let Some(mut running) = self.tasks.remove(&id) else {
            return;
        };
        let mut context = Context::from_waker(&running.waker);
        if running.task.as_mut().poll(&mut context).is_pending() {
            self.tasks.insert(id, running);
        }
    }
}
