//! What must hold of a fleet, and the tables of `docs/fleet.md`.
//!
//! A fleet whose members send at random, independently, has about 24 requests in the busiest of several thousand tenths
//! of a second if it has 10 on the average, and 135 in the busiest second if it has 100. The bounds on bursts leave room
//! for a rate that changes, and are far below one that is synchronised, which has all 1,000 in one tenth.

use std::sync::LazyLock;

use super::endpoint::{Headers, Rules};
use super::*;

/// Requests that a fleet at its limit sends in 100 ms and in a second, against the mean.
const BURST_100_MS: f64 = 4.0;
const BURST_1_S: f64 = 2.5;
/// Percent of the limit.
const GOODPUT: f64 = 90.0;
/// Against the mean.
const SLOWEST: f64 = 0.5;
/// Answers with 429, against all: the end of a window is met now and then.
const FEW: f64 = 0.05;

const SECOND: Duration = Duration::from_secs(1);
/// The second minute of the limit begins.
const WINDOW: Duration = Duration::from_secs(30);
const OUTAGE: (Duration, Duration) = (Duration::from_secs(90), Duration::from_secs(6 * 60 + 30));
/// 55 seconds into a window: what is left of the limit lasts into the next.
const BUSY_FROM: Duration = Duration::from_secs(30 * 60 + 25);
const RESTART: Duration = Duration::from_secs(2 * 60);

/// Ten times as many flush intervals as the limit allows requests, and twice as many events as fit.
fn overload() -> Scenario {
    Scenario {
        lasts: WINDOW + 6 * MINUTE,
        counted_from: WINDOW + 2 * MINUTE,
        ..Scenario::default()
    }
}

fn with_headers(headers: Headers) -> Scenario {
    Scenario {
        endpoint: Rules {
            headers,
            ..Rules::default()
        },
        ..overload()
    }
}

/// Long quiet, then over the limit.
fn quiet_then_busy(headers: Headers) -> Scenario {
    Scenario {
        busy_from: BUSY_FROM,
        counted_from: BUSY_FROM + 2 * MINUTE,
        lasts: BUSY_FROM + 6 * MINUTE,
        ..with_headers(headers)
    }
}

fn outage() -> Scenario {
    Scenario {
        // 250 events a second: after the outage there is room to catch up.
        load: Load::Every(Duration::from_secs(8)),
        endpoint: Rules {
            outage: Some(OUTAGE),
            ..Rules::default()
        },
        lasts: OUTAGE.1 + 4 * MINUTE,
        counted_from: OUTAGE.1,
        ..Scenario::default()
    }
}

fn deploy() -> Scenario {
    Scenario {
        restart: Some(RESTART),
        counted_from: RESTART,
        lasts: RESTART + 4 * MINUTE,
        ..Scenario::default()
    }
}

/// Four fifths of the limit.
fn busy_under_the_limit() -> Scenario {
    Scenario {
        workers: 80,
        load: Load::Every(SECOND / 2),
        lasts: 6 * MINUTE,
        ..Scenario::default()
    }
}

/// One event a minute, which all of them record in the same moment.
fn quiet() -> Scenario {
    Scenario {
        load: Load::Together,
        lasts: 6 * MINUTE,
        ..Scenario::default()
    }
}

/// Nine of ten processes are quiet, and the others want twice the limit.
fn mixed() -> Scenario {
    Scenario {
        busy: 100,
        endpoint: Rules {
            limit: 3_000,
            ..Rules::default()
        },
        ..overload()
    }
}

fn small() -> Scenario {
    Scenario {
        workers: 10,
        endpoint: Rules {
            limit: 300,
            ..Rules::default()
        },
        lasts: WINDOW + 10 * MINUTE,
        ..overload()
    }
}

fn two_datasets() -> Scenario {
    Scenario {
        workers: 100,
        datasets: 2,
        endpoint: Rules {
            limit: 600,
            ..Rules::default()
        },
        ..overload()
    }
}

fn plain(scenario: Scenario) -> Scenario {
    Scenario {
        is_plain: true,
        ..scenario
    }
}

static OVERLOAD: LazyLock<Figures> = LazyLock::new(|| run(&overload()));
static RESET_ONLY: LazyLock<Figures> = LazyLock::new(|| run(&with_headers(Headers::Reset)));
static NO_HEADERS: LazyLock<Figures> = LazyLock::new(|| run(&with_headers(Headers::None)));
static QUIET_THEN_BUSY: LazyLock<Figures> = LazyLock::new(|| run(&quiet_then_busy(Headers::Reset)));
static QUIET_THEN_BUSY_NO_HEADERS: LazyLock<Figures> =
    LazyLock::new(|| run(&quiet_then_busy(Headers::None)));
static AFTER_OUTAGE: LazyLock<Figures> = LazyLock::new(|| run(&outage()));
static DEPLOY: LazyLock<Figures> = LazyLock::new(|| run(&deploy()));
static BUSY: LazyLock<Figures> = LazyLock::new(|| run(&busy_under_the_limit()));
static QUIET: LazyLock<Figures> = LazyLock::new(|| run(&quiet()));
static MIXED: LazyLock<Figures> = LazyLock::new(|| run(&mixed()));
static SMALL: LazyLock<Figures> = LazyLock::new(|| run(&small()));

fn has_no_burst(figures: &Figures) -> bool {
    figures.burst_100_ms <= BURST_100_MS && figures.burst_1_s <= BURST_1_S
}

/// What holds of a fleet that wants more than its limit.
fn behaves(figures: &Figures) {
    assert!(figures.goodput >= GOODPUT, "{figures:?}");
    assert!(figures.slowest >= SLOWEST, "{figures:?}");
    assert!(has_no_burst(figures), "{figures:?}");
}

#[test]
fn a_fleet_over_its_limit_uses_it_evenly_starves_nobody_and_meets_few_429s() {
    behaves(&OVERLOAD);
    let refused = OVERLOAD.limited as f64 / OVERLOAD.requests as f64;
    assert!(refused <= FEW, "{:?}", *OVERLOAD);
}

#[test]
fn the_end_of_a_429_window_brings_no_burst() {
    for figures in [&*OVERLOAD, &RESET_ONLY] {
        for minute in 2..6 {
            let begins = WINDOW + MINUTE * minute;
            let busiest = figures.busiest(begins, begins + SECOND);
            assert!(f64::from(busiest) <= BURST_100_MS * 10.0, "{busiest}");
            let second = figures.between(begins, begins + SECOND);
            assert!(f64::from(second) <= BURST_1_S * 100.0, "{second}");
        }
    }
}

#[test]
fn without_the_header_that_says_what_is_left_a_fleet_learns_from_429s() {
    behaves(&RESET_ONLY);
    behaves(&NO_HEADERS);
}

#[test]
fn a_fleet_that_was_quiet_for_long_is_not_slowed_down_to_what_it_needed_then() {
    behaves(&QUIET_THEN_BUSY);
    behaves(&QUIET_THEN_BUSY_NO_HEADERS);
}

#[test]
fn an_outage_ends_without_a_burst_and_the_backlog_arrives() {
    let figures = &*AFTER_OUTAGE;
    behaves(figures);
    // 75 million events and what comes meanwhile, in batches of 10,000: 100 s at the limit, after waits of up to 30 s.
    assert!(figures.caught_up <= Some(200 * SECOND), "{figures:?}");
    assert!(figures.caught_up.is_some());
}

#[test]
fn during_an_outage_attempts_are_few_and_spread() {
    let figures = &*AFTER_OUTAGE;
    // Of waits between 0 and 30 s, 1,000 workers make 67 attempts a second.
    let (from, to) = (OUTAGE.0 + MINUTE, OUTAGE.1);
    let attempts = f64::from(figures.between(from, to)) / (to - from).as_secs_f64();
    assert!(attempts < 100.0, "{attempts} a second");
    let busiest = f64::from(figures.busiest(from, to));
    assert!(busiest <= BURST_100_MS * attempts / 10.0, "{busiest}");
}

#[test]
fn a_deploy_of_all_at_once_is_spread_over_the_flush_interval_and_then_paced() {
    let figures = &*DEPLOY;
    assert!(figures.goodput >= GOODPUT, "{figures:?}");
    assert!(figures.slowest >= SLOWEST, "{figures:?}");
    // Each must send its first record within a second: 133 in 100 ms if they are spread evenly.
    let busiest = figures.busiest(RESTART, RESTART + 3 * SECOND);
    assert!(busiest <= 200, "{busiest} in 100 ms");
    // From then on they know each other.
    let settled = RESTART + 10 * SECOND;
    let busiest = f64::from(figures.busiest(settled, RESTART + 4 * MINUTE));
    assert!(busiest <= BURST_100_MS * 10.0, "{busiest} in 100 ms");
    // What the deploy costs: the limit's rest is spent before all have learned of it.
    assert!(figures.limited <= 2 * 1_000, "{figures:?}");
}

#[test]
fn a_fleet_under_its_limit_is_not_delayed() {
    for figures in [&*BUSY, &QUIET] {
        assert_eq!(figures.limited, 0);
        assert!(figures.slowest > 0.99, "{figures:?}");
        assert!(figures.longest_wait <= SECOND, "{figures:?}");
    }
}

#[test]
fn records_that_all_processes_make_in_the_same_moment_leave_spread_over_the_flush_interval() {
    let busiest = QUIET.busiest(Duration::ZERO, 6 * MINUTE);
    assert!(busiest <= 200, "{busiest} of 1,000 in 100 ms");
}

#[test]
fn quiet_processes_leave_what_they_do_not_need_to_busy_ones() {
    behaves(&MIXED);
}

#[test]
fn ten_processes_share_a_limit_as_well_as_a_thousand() {
    assert!(SMALL.goodput >= GOODPUT, "{:?}", *SMALL);
    assert!(SMALL.slowest >= SLOWEST, "{:?}", *SMALL);
    assert!(SMALL.burst_1_s <= BURST_1_S, "{:?}", *SMALL);
}

#[test]
fn both_datasets_of_a_process_have_their_turn() {
    let figures = run(&two_datasets());
    assert!(figures.goodput >= GOODPUT, "{figures:?}");
    assert!(figures.slowest >= SLOWEST, "{figures:?}");
    let [first, second] = figures.by_dataset;
    let (few, many) = (first.min(second) as f64, first.max(second) as f64);
    assert!(few >= 0.8 * many, "{:?}", figures.by_dataset);
}

#[test]
fn a_simulation_can_be_repeated() {
    let short = Scenario {
        workers: 100,
        lasts: MINUTE,
        ..overload()
    };
    let short = Scenario {
        counted_from: Duration::ZERO,
        ..short
    };
    assert_eq!(run(&short).tenths, run(&short).tenths);
}

#[test]
#[ignore = "prints the tables of docs/fleet.md, with the figures of a fleet without a policy: a minute"]
fn tables() {
    println!(
        "\n| 1,000 processes, 6,000 requests a minute | | requests | goodput | 429s | busiest 100 ms | busiest second | slowest | caught up |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let row = |name: &str, which: &str, figures: &Figures| {
        let caught_up = figures
            .caught_up
            .map_or("–".into(), |time| format!("{:.0} s", time.as_secs_f64()));
        println!(
            "| {name} | {which} | {} | {:.0} % | {} | {:.1}× | {:.1}× | {:.2} | {caught_up} |",
            figures.requests,
            figures.goodput,
            figures.limited,
            figures.burst_100_ms,
            figures.burst_1_s,
            figures.slowest,
        );
    };
    let before_and_after = [
        ("over the limit", overload(), &OVERLOAD),
        (
            "over the limit, reset on 429 only",
            with_headers(Headers::Reset),
            &RESET_ONLY,
        ),
        (
            "over the limit, no headers at all",
            with_headers(Headers::None),
            &NO_HEADERS,
        ),
        (
            "quiet for half an hour, then over the limit, reset on 429 only",
            quiet_then_busy(Headers::Reset),
            &QUIET_THEN_BUSY,
        ),
        (
            "the same, no headers at all",
            quiet_then_busy(Headers::None),
            &QUIET_THEN_BUSY_NO_HEADERS,
        ),
        (
            "four minutes after an outage of five",
            outage(),
            &AFTER_OUTAGE,
        ),
        ("four minutes after a restart of all", deploy(), &DEPLOY),
        ("100 busy, 900 quiet, limit of 3,000", mixed(), &MIXED),
        ("10 processes, limit of 300", small(), &SMALL),
        ("80 busy, under the limit", busy_under_the_limit(), &BUSY),
        (
            "all quiet, an event a minute in the same moment",
            quiet(),
            &QUIET,
        ),
    ];
    for (name, scenario, after) in before_and_after {
        row(name, "without", &run(&plain(scenario)));
        row("", "with", after);
    }
    println!("\n| Flush interval | quiet | busy |");
    println!("|---|---|---|");
    for seconds in [1, 5, 30] {
        // One event a minute; 1,000 events a second, in records of 250.
        let [quiet, busy] = [(MINUTE, 10_000), (SECOND / 4, 40)].map(|(every, batch)| {
            let scenario = Scenario {
                workers: 1,
                load: Load::Every(every),
                batch,
                flush_interval: seconds * SECOND,
                lasts: 61 * MINUTE,
                counted_from: MINUTE,
                ..Scenario::default()
            };
            run(&scenario).requests * 24 * 30
        });
        println!("| {seconds} s | {quiet} | {busy} |");
    }
}
