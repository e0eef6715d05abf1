//! The application's hold on the worker: ask for delivery, read the ledger, shut down in bounded time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pipeline::Pipeline;
use super::wait::{Ended, block_until, deadline, end, patience};
use crate::report::{Counters, FlushError, Stats};
use crate::worker::Flushed;

/// Keeps the layer delivering. Dropping it delivers what was recorded, within the shutdown timeout.
///
/// Bind it to a variable that lives as long as the program records, as in
/// `let (layer, guard) = axiom_layer::builder().build()?;`. A guard bound to `_` is dropped at once, one that a setup
/// function does not return is dropped at its end. Everything recorded after that is counted as
/// [`AfterShutdown`](crate::DropReason::AfterShutdown), and the diagnostics say so once.
///
/// `#[tokio::main]` drops what `main` holds first and cancels the tasks that still run after that; the spans which these are in
/// then close too late. Let them end before, or hold the guard outside of the runtime: make it in a plain `main` and
/// run the rest by `Runtime::block_on`, with the runtime dropped before the guard.
///
/// Every method may be called from any thread, inside or outside any async runtime, and returns
/// within its deadline whatever the endpoint does. The methods that wait block the calling thread, but
/// never need it: delivery happens on a thread of its own. On that thread itself, where the diagnostics hook runs, none
/// waits: what was asked for is done once the hook returns.
#[must_use = "dropping the guard ends delivery; bind it to a variable that lives as long as the program"]
#[derive(Debug)]
pub struct Guard {
    /// `None`: the layer is inert, and there is nothing to deliver.
    pipeline: Option<Arc<Pipeline>>,
}

impl Guard {
    pub(crate) fn new(pipeline: Arc<Pipeline>) -> Self {
        Self {
            pipeline: Some(pipeline),
        }
    }

    /// The guard of a layer that records nothing: its ledger is empty, and there is nothing to wait for.
    pub(crate) fn inert() -> Self {
        Self { pipeline: None }
    }

    fn here(&self) -> Option<&Arc<Pipeline>> {
        self.pipeline.as_ref().map(Pipeline::here)
    }

    /// What became of everything recorded so far.
    ///
    /// In a forked child these are the child's own records: all zero if it has made none.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let nothing = || Counters::default().snapshot(|| 0);
        let pipeline = self.pipeline.as_ref().and_then(Pipeline::existing);
        pipeline.map_or_else(nothing, |pipeline| pipeline.stats())
    }

    /// Delivers everything that was recorded before this call, and waits for it, at most so long.
    ///
    /// Does not wait when waiting is of no use: when the endpoint refuses the token or the dataset,
    /// it returns at once. While records that the endpoint can not read are looked for (400), it waits for the search, which is
    /// slow on purpose. In an outage each call does not make a request: that is at most one a second.
    ///
    /// # Errors
    /// The time was over, the endpoint refuses everything, records were lost since the last receipt,
    /// or the guard was shut down before. [`FlushError::stats`] has the numbers.
    pub fn flush(&self, timeout: Duration) -> Result<Stats, FlushError> {
        let Some(pipeline) = self.here() else {
            return Ok(self.stats());
        };
        let reply = pipeline.ask_for_flush();
        match block_until(patience(pipeline, deadline(timeout)), reply) {
            Some(reply) => self.receipt(reply.ok()),
            None => Err(FlushError::timed_out(self.stats())),
        }
    }

    /// Like [`flush`](Self::flush), for async code on any runtime. Wrap it in the runtime's own
    /// time-out: while the endpoint is down, it waits for as long as that lasts.
    ///
    /// # Errors
    /// As `flush`, without the time-out.
    pub async fn flush_async(&self) -> Result<Stats, FlushError> {
        let Some(pipeline) = self.here() else {
            return Ok(self.stats());
        };
        let reply = pipeline.ask_for_flush();
        if pipeline.is_worker() {
            return Err(FlushError::timed_out(self.stats()));
        }
        self.receipt(reply.await.ok())
    }

    /// Ends recording, delivers what was recorded, and ends the worker, all within `timeout`.
    ///
    /// What can not be delivered by then is dropped and counted. Where nothing listens, that is after
    /// about a second: see [`Builder::shutdown_timeout`](crate::Builder::shutdown_timeout). Whatever is recorded from now on is
    /// counted as [`AfterShutdown`](crate::DropReason::AfterShutdown). A second call, or a drop after this one, only reports.
    ///
    /// # Errors
    /// Records were lost since the last receipt: at the deadline, or before.
    pub fn shutdown(&self, timeout: Duration) -> Result<Stats, FlushError> {
        let Some(pipeline) = self.here() else {
            return Ok(self.stats());
        };
        match end(pipeline, timeout) {
            Ended::InTime(flushed) => self.receipt(Some(flushed)),
            Ended::NotYet => Err(FlushError::timed_out(self.stats())),
        }
    }

    #[cfg(test)]
    pub(crate) fn pipeline_for_tests(&self) -> &Arc<Pipeline> {
        self.here().unwrap()
    }

    fn receipt(&self, reply: Option<Flushed>) -> Result<Stats, FlushError> {
        let stats = self.stats();
        let lost = self.here().map_or(0, |here| here.newly_lost(&stats));
        match reply {
            None => Err(FlushError::closed(stats)),
            Some(Flushed::Blocked(dataset)) => Err(FlushError::blocked(dataset, stats)),
            Some(Flushed::Unheard(address)) if lost > 0 => {
                Err(FlushError::unheard(lost, address, stats))
            }
            Some(Flushed::Settled) if lost > 0 => Err(FlushError::lost(lost, stats)),
            Some(Flushed::Settled | Flushed::Unheard(_)) => Ok(stats),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A forked child that recorded nothing has nothing to deliver, and its parent goes on.
        let Some(pipeline) = self.pipeline.as_ref().map(Pipeline::here_or_closed) else {
            return;
        };
        if !pipeline.is_open() {
            return;
        }
        // A program that had nothing to say may have bound it well: only records that come after tell.
        let saw_records = pipeline.stats().recorded() > 0;
        pipeline.late().guard_dropped(Instant::now(), saw_records);
        // What was lost is in the ledger, and the worker has spoken of it.
        end(pipeline, pipeline.shutdown_timeout());
    }
}

#[cfg(test)]
mod tests {
    use crate::report::DropReason;

    #[test]
    fn a_loss_is_in_one_receipt_though_an_older_ledger_is_looked_at_last() {
        let builder = crate::builder().url("http://localhost:1").token("t");
        let (_layer, guard) = builder.dataset("d").diagnostics(false).build().unwrap();
        let pipeline = guard.pipeline_for_tests();
        let lose = |records| {
            pipeline
                .counters()
                .add_dropped(DropReason::Recursion, records)
        };
        lose(5);
        let older = guard.stats();
        lose(5);
        let told = [&guard.stats(), &older, &guard.stats()].map(|stats| pipeline.newly_lost(stats));
        assert_eq!(told, [10, 0, 0]);
    }
}
