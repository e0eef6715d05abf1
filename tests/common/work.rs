//! What building a layer costs the calling thread, counted. How long it takes is up to the machine; that it neither waits, as for a
//! name or a connection, nor reads the system's certificates, is not.

/// Building allocates less often than this. The system's certificates are more than a hundred, each of several allocations.
const ALLOCATIONS: u64 = 500;

/// How often the calling thread gave up the processor to wait for something. Zero where the system does not tell.
pub(crate) fn waits() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.map_or(0, |number| number.trim().parse().unwrap())
}

/// `build` makes a layer. The best of some counts: another thread may just hold the kernel's lock on memory.
pub(crate) fn assert_builds_at_once<T>(build: impl Fn() -> T) {
    let counts = (0..5).map(|_| {
        let (mut built, mut waited) = (None, 0);
        let counted = allocation_counter::measure(|| {
            let before = waits();
            built = Some(build());
            waited = waits() - before;
        });
        drop(built);
        (waited, counted.count_total)
    });
    let (waited, allocations) = counts.min().unwrap();
    println!("build(): {waited} waits, {allocations} allocations");
    assert_eq!(waited, 0, "build() waited for something");
    assert!(allocations < ALLOCATIONS, "{allocations} allocations");
}
