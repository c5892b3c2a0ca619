//! Where pictures go, and what stays behind when they cannot go there.

use std::fs;

use crate::support::Place;

#[test]
fn a_missing_folder_is_named() {
    let place = Place::new();
    place
        .draw(&["-o", "no/a.png"])
        .refused(&["no", "create it"]);
    assert!(place.files().is_empty());
}

#[test]
fn a_folder_is_no_file() {
    let place = Place::new();
    fs::create_dir(place.path("album")).unwrap();
    fs::create_dir(place.path("album.png")).unwrap();
    for output in ["album", "album/", "album.png", "."] {
        for count in ["1", "2"] {
            let drawn = place.draw(&["-o", output, "-n", count]);
            drawn.refused(&[output, "is a folder"]);
        }
    }
    assert_eq!(place.files(), ["album", "album.png"]);
    assert!(fs::read_dir(place.path("album")).unwrap().next().is_none());
}

#[test]
fn a_folder_that_is_not_there_is_named_before_drawing() {
    let place = Place::new();
    let drawn = place.draw(&["-o", "album/"]);
    drawn.refused(&["there is no folder album/", "create it"]);
    assert!(place.files().is_empty());
}

#[test]
#[cfg(unix)]
fn only_files_are_replaced() {
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::UnixListener;

    let place = Place::new();
    let _socket = UnixListener::bind(place.path("socket")).unwrap();
    let turbo = crate::support::fixture("turbo");
    let says = ["socket", "no ordinary file"];
    place.draw(&["-o", "socket"]).refused(&says);
    place.run(&["convert", &turbo, "socket"]).refused(&says);
    let kind = fs::metadata(place.path("socket")).unwrap().file_type();
    assert!(kind.is_socket());
    assert_eq!(place.files(), ["socket"]);
}

#[test]
fn a_file_is_no_folder() {
    let place = Place::new();
    place.write("notes", "keep");
    place.draw(&["-o", "notes/a.png"]).refused(&["notes"]);
    assert_eq!(place.read("notes"), b"keep");
    assert_eq!(place.files(), ["notes"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_takes_no_files_is_reported() {
    let place = Place::new();
    place
        .draw(&["-o", "/proc/a.png"])
        .refused(&["cannot write /proc/a.png"]);
}

#[test]
fn standard_output_is_no_place_for_pictures() {
    let place = Place::new();
    place
        .draw(&["-o", "-"])
        .refused(&["standard output", "--output"]);
    assert!(place.files().is_empty());
}

#[test]
fn an_output_needs_a_name() {
    let place = Place::new();
    place.draw(&["-o", ""]).refused(&["--output"]);
}

#[test]
fn a_format_against_the_extension_is_refused() {
    let place = Place::new();
    let args = ["-o", "a.jpg", "--format", "png"];
    place
        .draw(&args)
        .refused(&["--format png contradicts the name a.jpg"]);
    place
        .draw(&["-o", "a.gif"])
        .refused(&[".gif", "use .png, .jpg or .webp"]);
    assert!(place.files().is_empty());
}

/// A picture already there keeps its bytes under a second name: so it was replaced as a whole, and
/// not written over.
#[test]
#[cfg(unix)]
fn an_existing_file_is_replaced_as_a_whole() {
    let place = Place::new();
    place.write("a.png", "old");
    fs::hard_link(place.path("a.png"), place.path("linked")).unwrap();
    place.draw(&["-o", "a.png"]).succeeded();
    assert_eq!(place.image("a.png").dimensions(), (24, 16));
    assert_eq!(place.read("linked"), b"old");
    assert_eq!(place.files(), ["a.png", "linked"]);
}

#[test]
fn a_failure_leaves_the_existing_file() {
    let place = Place::new();
    place.write("a.png", "old");
    place
        .draw(&["-o", "a.png", "--size", "25x16"])
        .refused(&["25x16"]);
    place
        .draw(&["-o", "a.png", "--steps", "1001"])
        .refused(&["1001"]);
    assert_eq!(place.read("a.png"), b"old");
    assert_eq!(place.files(), ["a.png"]);
}

#[test]
#[cfg(unix)]
fn a_picture_can_be_read_like_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.write("other", "");
    place.draw(&["-o", "a.png"]).succeeded();
    let mode = |name| fs::metadata(place.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("a.png"), mode("other"));
}

#[test]
fn names_may_hold_spaces_quotes_and_any_script() {
    let place = Place::new();
    for name in ["a b.png", "it's.png", "狐.png", "two.dots.png"] {
        let drawn = place.draw(&["-o", name, "--seed", "1"]).succeeded();
        assert!(drawn.stdout.starts_with(name), "{drawn:?}");
        assert_eq!(place.image(name).dimensions(), (24, 16));
    }
    place
        .draw(&["-o", "two.dots.png", "--seed", "1", "-n", "2"])
        .succeeded();
    assert!(place.path("two.dots-2.png").exists());
}
