//! `plantain pull` from a hub on this machine, which serves a fixture as a repository.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Place, fixture};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Serves the folder `root` as the repository tiny/turbo until the program under test ends. Returns the hub's address.
fn serve(root: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let root = root.clone();
            std::thread::spawn(move || answer(stream.unwrap(), &root));
        }
    });
    address
}

/// Answers the requests of a connection.
fn answer(mut stream: TcpStream, root: &Path) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut request = String::new();
        if lines.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut header = String::new();
            if lines.read_line(&mut header).unwrap_or(0) <= 2 {
                break;
            }
        }
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let body = if path.starts_with("/api/models/tiny/turbo") {
            Some(listing(root).to_string().into_bytes())
        } else {
            let name = path.strip_prefix(&format!("/tiny/turbo/resolve/{COMMIT}/"));
            name.and_then(|name| fs::read(root.join(name)).ok())
        };
        let status = if body.is_some() {
            "200 OK"
        } else {
            "404 Not Found"
        };
        let body = body.unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let sent = if method == "HEAD" { &[][..] } else { &body };
        if stream.write_all(&[head.as_bytes(), sent].concat()).is_err() {
            return;
        }
    }
}

/// What the hub says about the repository.
fn listing(root: &Path) -> Value {
    let mut siblings = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            siblings.push(json!({
                "rfilename": path.strip_prefix(root).unwrap().to_str().unwrap(),
                "size": bytes.len(),
                "lfs": {"sha256": plantain::weights::sha256(&bytes), "size": bytes.len()},
            }));
        }
    }
    json!({
        "sha": COMMIT,
        "siblings": siblings,
        "cardData": {"license": "cc-by-nc-4.0"},
    })
}

#[test]
fn a_pulled_model_is_converted_and_draws() {
    let place = Place::new();
    let address = serve(PathBuf::from(fixture("turbo")));
    let pull = |more: &[&str]| {
        let mut command = place.command();
        command.args(["pull", "tiny/turbo", "--quiet"]).args(more);
        command.env("HF_ENDPOINT", &address);
        command.env("HF_HUB_CACHE", place.path("cache"));
        command.env_remove("HF_TOKEN");
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, _, errors) = pull(&["--offline"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("never pulled"), "{errors}");
    let (code, said, errors) = pull(&[]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.starts_with("turbo.safetensors: "), "{said}");
    assert!(errors.contains("non-commercial"), "{errors}");
    place
        .draw_from("a fox", "turbo.safetensors", &["-o", "a.png"])
        .succeeded();
    let (code, _, errors) = pull(&["--offline", "-o", "again.safetensors"]);
    assert_eq!(code, Some(0), "{errors}");
    let (code, _, errors) = pull(&["--revision", "../x"]);
    assert_eq!(code, Some(1), "{errors}");
}

#[test]
fn a_name_that_is_none_is_told() {
    Place::new()
        .run(&["pull", "turbo"])
        .refused(&["OWNER/NAME"]);
}
