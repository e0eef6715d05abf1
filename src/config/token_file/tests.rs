use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::config::tests::{config, message};
use crate::setup::{Builder, builder};

const TOKEN: &str = "xaat-12345678-90ab-cdef-1234-567890abcdef";
const OTHER: &str = "xaat-87654321-90ab-cdef-1234-567890abcdef";

/// A path of its own for each test; whatever is there at the end is removed.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("axiom-layer-token-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn holding(content: impl AsRef<[u8]>) -> Self {
        let place = Self::new();
        fs::write(&place.0, content).unwrap();
        place
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn logs() -> Builder {
    builder().dataset("logs")
}

#[test]
fn the_token_is_taken_from_the_nearest_of_four_places() {
    let (set, named) = (Place::holding(TOKEN), Place::holding(OTHER));
    let variables = [
        ("AXIOM_TOKEN", "xaat-variable"),
        ("AXIOM_TOKEN_FILE", named.text()),
    ];
    let token = |builder, variables: &[(&str, &str)]| {
        let config = config(builder, variables).unwrap();
        (
            config.token.expose().to_owned(),
            config.token_file.is_some(),
        )
    };
    let told = |token: &str, is_file| (token.to_owned(), is_file);
    let with_file = || logs().token_file(&set.0);
    assert_eq!(
        token(with_file().token("xaat-set"), &variables),
        told("xaat-set", false)
    );
    assert_eq!(token(with_file(), &variables), told(TOKEN, true));
    assert_eq!(token(logs(), &variables), told("xaat-variable", false));
    assert_eq!(token(logs(), &variables[1..]), told(OTHER, true));
    let blank = [("AXIOM_TOKEN", " "), variables[1]];
    assert_eq!(token(logs(), &blank), told(OTHER, true));
}

#[test]
fn white_space_around_the_token_in_a_file_is_ignored() {
    let place = Place::holding(format!("\r\n {TOKEN}\n\n"));
    let config = config(logs().token_file(&place.0), &[]).unwrap();
    assert_eq!(config.token.expose(), TOKEN);
}

#[test]
fn a_file_without_a_token_is_an_error_that_names_variable_path_and_fix() {
    let missing = Place::new();
    let directory = std::env::temp_dir();
    let lone = "holds white space, control characters or characters that are not ASCII; copy the token again: the token alone, without `Bearer`";
    let whole = "the file can not be read:";
    let fix = "give the path of a text file that holds the token and nothing else";
    for (place, said) in [
        (
            missing,
            "there is no such file; mount the secret there, or correct the path".to_owned(),
        ),
        (
            Place::holding(" \n"),
            "the file is empty; write the token into the file, and nothing else".to_owned(),
        ),
        (Place::holding(format!("Bearer {TOKEN}")), lone.to_owned()),
        (
            Place::holding(format!("\"{TOKEN}\"\n")),
            "is in quotes, which are taken as part of the value; remove the quotes: `docker --env-file`, for one, does not take them away as a shell does".to_owned(),
        ),
        (
            Place::holding("x".repeat(10_000)),
            format!("{whole} it is longer than any token; {fix}"),
        ),
        (
            Place::holding([b'x', 0xff]),
            format!("{whole} stream did not contain valid UTF-8; {fix}"),
        ),
    ] {
        let path = place.text();
        assert_eq!(
            message(logs(), &[(VARIABLE, path)]),
            format!("AXIOM_TOKEN_FILE={path:?}: {said}")
        );
        assert_eq!(
            message(logs().token_file(&place.0), &[]),
            format!(".token_file({path:?}): {said}")
        );
    }
    let text = message(logs().token_file(&directory), &[]);
    assert!(text.contains("it is a directory"), "{text}");
    assert_eq!(
        message(logs().token_file(""), &[]),
        ".token_file(..): is empty; leave out the call to .token_file(..), or pass a path"
    );
}

#[test]
fn a_token_in_place_of_its_path_is_not_shown() {
    for text in [
        message(logs(), &[(VARIABLE, TOKEN)]),
        message(logs().token_file(TOKEN), &[]),
        format!("{:?}", logs().token_file(TOKEN)),
    ] {
        assert!(!text.contains("xaat-"), "{text}");
    }
}

#[test]
fn the_content_is_in_no_debug() {
    let place = Place::holding(TOKEN);
    let builder = logs().token_file(&place.0);
    let shown = format!("{builder:?} {:?}", config(builder.clone(), &[]).unwrap());
    assert!(shown.contains(place.text()), "{shown}");
    assert!(!shown.contains(TOKEN), "{shown}");
}
