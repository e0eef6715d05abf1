//! The figures, in Markdown: a table for each number of threads.

use crate::measure::{COLUMNS, Numbers};
use crate::workloads::WORKLOADS;

pub(crate) fn print(subjects: &[&str], threads: &[usize], results: &[Vec<Numbers>], rounds: usize) {
    let [mean, cpu, p50, p99, p999, allocations] = COLUMNS;
    println!(
        "ns per operation on the calling thread: {mean}, {cpu} of the thread ({p50} / {p99} / {p999}), {allocations}. \
         Medians of {rounds} runs."
    );
    for (at, threads) in threads.iter().enumerate() {
        let plural = if *threads == 1 { "" } else { "s" };
        println!("\n{threads} thread{plural}\n");
        let names: Vec<&str> = WORKLOADS.map(|workload| workload.name).to_vec();
        println!("| subject | {} |", names.join(" | "));
        println!("|{}", " --- |".repeat(names.len() + 1));
        for (subject, results) in subjects.iter().zip(results) {
            let cells: Vec<String> = results[at * names.len()..][..names.len()]
                .iter()
                .map(cell)
                .collect();
            println!("| {subject} | {} |", cells.join(" | "));
        }
    }
}

fn cell([mean, cpu, p50, p99, p999, allocations]: &Numbers) -> String {
    format!("{mean:.0}, {cpu:.0} ({p50:.0} / {p99:.0} / {p999:.0}), {allocations:.1}")
}

/// Of each column.
pub(crate) fn median(runs: &[Numbers]) -> Numbers {
    std::array::from_fn(|column| {
        let mut values: Vec<f64> = runs.iter().map(|run| run[column]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}
