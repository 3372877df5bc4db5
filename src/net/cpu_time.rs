//! Measures how much processor time a thread has used.
//!
//! What a peer is charged must not depend on the load of the machine. On a busy machine, a turn takes many times longer by the
//! clock than in processor time, and honest peers would run short.

#[cfg(unix)]
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Work shorter than this is measured by the clock. Asking the system for a thread's processor time takes longer than handling a
/// small frame, and in so short a time the thread is seldom interrupted.
#[cfg(unix)]
const SHORT: Duration = Duration::from_micros(100);

#[cfg(unix)]
thread_local! {
    /// This thread's processor time when the system was last asked, and how long the short work since then took by the clock.
    static SAMPLE: Cell<(Duration, Duration)> = const { Cell::new((Duration::ZERO, Duration::ZERO)) };
}

/// The start of a measurement on the current thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuTimer {
    began: Instant,
}

impl CpuTimer {
    pub(super) fn start() -> Self {
        CpuTimer { began: Instant::now() }
    }

    /// Microseconds of processor time used since then. To be called on the same thread.
    #[cfg(unix)]
    pub(super) fn micros(self) -> u64 {
        let elapsed = self.began.elapsed();
        let (before, short) = SAMPLE.get();
        if elapsed < SHORT {
            SAMPLE.set((before, short + elapsed));
            return micros(elapsed);
        }
        let worked = worked();
        SAMPLE.set((worked, Duration::ZERO));
        micros(worked.saturating_sub(before).saturating_sub(short).min(elapsed))
    }

    /// Microseconds since then by the clock.
    #[cfg(not(unix))]
    pub(super) fn micros(self) -> u64 {
        micros(self.began.elapsed())
    }
}

/// Processor time that the current thread has used.
#[cfg(unix)]
fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn waiting_takes_no_processor_time() {
        let timer = CpuTimer::start();
        // To this thread, sleeping is the same as if other threads had the processor.
        std::thread::sleep(Duration::from_millis(200));
        let micros = timer.micros();
        assert!(micros < 100_000, "{micros} us");
    }

    #[test]
    fn short_and_long_work_counts_in_full() {
        let work = |enough: Duration| {
            let (timer, before) = (CpuTimer::start(), worked());
            while worked().saturating_sub(before) < enough {}
            timer.micros()
        };
        for _ in 0..50 {
            assert!(work(Duration::from_micros(20)) >= 20);
        }
        // The short ones may have counted time in which other threads had the processor, which is subtracted here.
        let micros = work(Duration::from_millis(300));
        assert!(micros >= 200_000, "{micros} us");
    }
}
