//! The table, in Markdown.

use crate::measure::{Paced, Row, Tight, WORKLOADS};

pub(crate) fn print(rows: &[Row], rounds: usize) {
    println!("{LEGEND} Medians of {rounds} runs.\n");
    let names = [
        "subject",
        "W1 event",
        "W2 event in 3 spans",
        "W3 span",
        "W4 request",
        "CPU W1",
        "CPU W3",
        "lost of W1 / W2 / W3 / W4",
        "tight loop: delivered/s",
        "lost",
        "CPU",
        "peak memory",
    ];
    line(&names.map(str::to_owned));
    line(&names.map(|_| "---".to_owned()));
    for row in rows {
        let mut cells = vec![format!("{} {}", row.name, row.version)];
        for paced in &row.paced {
            cells.push(match paced {
                Ok(paced) => format!(
                    "{:.0} ({:.0} / {:.0}), {:.1}{}",
                    paced.mean,
                    paced.p50,
                    paced.p99,
                    paced.allocations,
                    if paced.recorded == 0.0 { " ∅" } else { "" }
                ),
                Err(why) => why.clone(),
            });
        }
        for workload in [0, 2] {
            cells.push(match &row.paced[workload] {
                Ok(paced) if paced.recorded > 0.0 => format!("{:.0}", paced.cpu),
                _ => NOTHING.to_owned(),
            });
        }
        let lost: Vec<String> = row.paced[..WORKLOADS].iter().map(lost_paced).collect();
        cells.push(lost.join(" / "));
        cells.extend(tight(&row.tight));
        line(&cells);
    }
}

const LEGEND: &str = "Per operation on the calling thread, in bursts of 200 every 4 ms: ns mean (p50 / p99), allocations. \
CPU: ns of the whole process for each operation, delivery included; in the tight loop for each delivered record. Lost: records \
that the server did not get. ∅: the subject makes no record of that, so the cost is that of nothing.";
const NOTHING: &str = "–";

fn line(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

fn lost_paced(paced: &Result<Paced, String>) -> String {
    match paced {
        Ok(paced) => lost(paced.recorded, paced.delivered),
        Err(_) => NOTHING.to_owned(),
    }
}

fn lost(recorded: f64, delivered: Option<f64>) -> String {
    match delivered {
        _ if recorded == 0.0 => NOTHING.to_owned(),
        None => "not counted".to_owned(),
        // A request whose answer came too late is sent again.
        Some(delivered) if delivered >= recorded * 1.0005 => {
            format!(
                "0 ({:.1} % twice)",
                (delivered - recorded) / recorded * 100.0
            )
        }
        Some(delivered) if delivered >= recorded => "0".to_owned(),
        Some(delivered) => format!("{:.1} %", (recorded - delivered) / recorded * 100.0),
    }
}

fn tight(tight: &Result<Tight, String>) -> [String; 4] {
    match tight {
        Err(why) => [why.clone(), String::new(), String::new(), String::new()],
        Ok(tight) => {
            let rest = [
                lost(tight.recorded, tight.delivered),
                format!("{:.0}", tight.cpu),
                format!("{:.0} MB", tight.peak_bytes / 1e6),
            ];
            let [lost, cpu, peak] = rest;
            if tight.recorded == 0.0 {
                return [
                    NOTHING.to_owned(),
                    NOTHING.to_owned(),
                    NOTHING.to_owned(),
                    peak,
                ];
            }
            match tight.delivered {
                None => ["not counted".to_owned(), lost, NOTHING.to_owned(), peak],
                Some(_) => [
                    format!("{:.0}", tight.delivered_per_second),
                    lost,
                    cpu,
                    peak,
                ],
            }
        }
    }
}
