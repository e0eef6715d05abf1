//! Numbers of records in words.

pub(crate) fn records(number: u64) -> String {
    match number {
        1 => "1 record".to_owned(),
        number => format!("{number} records"),
    }
}

/// What became of them, as in "1 record was dropped" and "2 records were dropped".
pub(crate) fn records_were(number: u64, what: &str) -> String {
    let were = if number == 1 { "was" } else { "were" };
    format!("{} {were} {what}", records(number))
}

/// As in "1 record waits" and "2 records wait".
pub(crate) fn records_wait(number: u64) -> String {
    let wait = if number == 1 { "waits" } else { "wait" };
    format!("{} {wait}", records(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_is_spoken_of_in_the_singular() {
        let said = [0, 1, 2].map(|number| records_were(number, "lost"));
        assert_eq!(
            said,
            [
                "0 records were lost",
                "1 record was lost",
                "2 records were lost"
            ]
        );
        assert_eq!(
            [1, 2].map(records_wait),
            ["1 record waits", "2 records wait"]
        );
    }
}
