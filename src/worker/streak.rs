//! Bodies refused in a row, with no success between them: what tells one bad record from an endpoint that refuses
//! everything. A value, without a clock.

use super::pace::Kind;

/// Refusals in a row from which on it is not single records that are at fault: halving 10,000 records down to one takes
/// 15, and then some of its neighbours are tried.
pub(super) const REFUSED_IN_A_ROW: u32 = 20;

/// Refusals in a row after which the search looks for something that gets through.
const PROOF_WANTED: u32 = 8;

/// Refusals in a row of records that nobody suspected, after which no further ones are sent while there are as many
/// suspects as may be.
const CROWDED_AFTER: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Streak {
    all: u32,
    /// Of these, those of records that nobody suspected.
    ordinary: u32,
    /// The latest attempt when a body was last refused: attempts up to it were under way together with that one.
    through: u64,
}

impl Streak {
    pub(super) fn ends(&mut self) {
        self.all = 0;
        self.ordinary = 0;
    }

    /// The attempt of this number was refused, when `latest` had been begun. Attempts that were under way together
    /// count once.
    pub(super) fn goes_on(&mut self, kind: Kind, attempt: u64, latest: u64) {
        if attempt > self.through {
            self.all = self.all.saturating_add(1);
            self.ordinary += u32::from(kind == Kind::Ordinary);
            self.through = latest;
        }
    }

    pub(super) fn nothing_gets_through(&self) -> bool {
        self.all >= REFUSED_IN_A_ROW
    }

    pub(super) fn wants_proof(&self) -> bool {
        self.all >= PROOF_WANTED
    }

    /// Further bodies would hardly fare better than those before.
    pub(super) fn is_discouraging(&self) -> bool {
        self.ordinary >= CROWDED_AFTER
    }

    /// Refusals of records that nobody suspected.
    pub(super) fn ordinary(&self) -> u32 {
        self.ordinary
    }
}
