//! The one seam for time and chance: whoever needs either is handed it, so that a run can be repeated from a seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::{Builder, Uuid};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// Gives random bytes.
pub trait Chance: Send + Sync {
    /// Sixteen bytes that nobody can foresee (or, from a seed, everybody).
    fn bytes(&self) -> [u8; 16];
}

/// Time and chance together, as they are handed around.
#[derive(Clone)]
pub struct Seam {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives random bytes.
    pub chance: Arc<dyn Chance>,
}

impl Seam {
    /// The machine's clock and its random number generator.
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), chance: Arc::new(SystemChance) }
    }

    /// A clock that stands at `start` until it is moved, and a generator that repeats itself from `seed`.
    pub fn seeded(seed: u64, start: Timestamp) -> (Self, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock(AtomicI64::new(start.0)));
        (Self { clock: clock.clone(), chance: Arc::new(SeededChance(AtomicU64::new(seed))) }, clock)
    }

    /// A new UUID that tells nothing (version 4, RFC 9562 section 5.4).
    pub fn random_uuid(&self) -> Uuid {
        Builder::from_random_bytes(self.chance.bytes()).into_uuid()
    }

    /// A new UUID: random, and ordered by the millisecond of its making (version 7, RFC 9562 section 5.7).
    pub fn uuid(&self) -> Uuid {
        let millis = u64::try_from(self.clock.now().0.div_euclid(1_000)).unwrap_or_default();
        let bytes = self.chance.bytes();
        let random = bytes.last_chunk().expect("sixteen bytes end with ten");
        Builder::from_unix_timestamp_millis(millis, random).into_uuid()
    }
}

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

struct SystemChance;

impl Chance for SystemChance {
    fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system's random number generator answers");
        bytes
    }
}

/// A clock that moves only when told.
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: std::time::Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct SeededChance(AtomicU64);

impl SeededChance {
    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Chance for SeededChance {
    fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next().to_le_bytes());
        bytes[8..].copy_from_slice(&self.next().to_le_bytes());
        bytes
    }
}
