//! A service on this machine that draws thumbnails.
//!
//!     cargo run --release -p plantain --example thumbnails
//!     curl -o fox.png "http://127.0.0.1:8017/thumb?prompt=a+red+fox,+cartoon"
//!
//! One pipeline serves all connections, each in a thread of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use plantain::{DeviceOptions, Format, ModelSource, Pipeline, Request, Unobserved};

/// Longest first line of a request that is read, in bytes.
const LONGEST: u64 = 4096;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8017".into());
    let pipeline = Pipeline::load(ModelSource::BuiltIn, DeviceOptions::default())?;
    let listener = TcpListener::bind(&address)?;
    println!("listening on http://{}", listener.local_addr()?);
    thread::scope(|scope| {
        for stream in listener.incoming().flatten() {
            let pipeline = &pipeline;
            scope.spawn(move || {
                // A client that left is no matter of ours.
                let _ = answer(pipeline, stream);
            });
        }
    });
    Ok(())
}

fn answer(pipeline: &Pipeline, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut line = String::new();
    BufReader::new((&stream).take(LONGEST)).read_line(&mut line)?;
    let rest = line.strip_prefix("GET /thumb?prompt=");
    let prompt = rest.and_then(|rest| rest.split([' ', '&']).next());
    let drawn = prompt.map(|prompt| draw(pipeline, &decoded(prompt)));
    let (status, body) = match drawn {
        Some(Ok(png)) => ("200 OK\r\nContent-Type: image/png", png),
        Some(Err(error)) => ("500 Internal Server Error", error.into_bytes()),
        None => ("404 Not Found", b"GET /thumb?prompt=..\n".to_vec()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n")?;
    stream.write_all(b"Connection: close\r\n\r\n")?;
    stream.write_all(&body)
}

fn draw(pipeline: &Pipeline, prompt: &str) -> Result<Vec<u8>, String> {
    let request = Request::new(prompt).seed(1);
    let pictures = pipeline.generate(&request, &mut Unobserved);
    pictures.map_err(|e| e.to_string())?[0].encode(Format::Png)
}

/// Undoes the encoding of addresses: `+` is a space, `%41` is `A`.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default();
    let mut bytes = first.replace('+', " ").into_bytes();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        bytes.extend(u8::from_str_radix(code, 16).ok());
        bytes.extend(rest.replace('+', " ").bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
