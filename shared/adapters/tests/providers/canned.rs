//! A server that gives every request the same bytes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
};

/// Starts it and returns its URL. It lives as long as the test process.
pub fn answer(response: &str) -> String {
    heard(response).0
}

/// The same, with the first line of every request.
pub fn heard(response: &str) -> (String, Receiver<String>) {
    let (sender, heard) = channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let response = response.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that hangs up, or speaks TLS, is its own affair.
            // Nobody has to listen.
            let _ = stream.and_then(|stream| serve(stream, &response)).map(|line| sender.send(line));
        }
    });
    (url, heard)
}

/// A whole response with a JSON body.
pub fn response(status: u16, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn serve(stream: TcpStream, response: &str) -> std::io::Result<String> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    reader.get_mut().write_all(response.as_bytes())?;
    Ok(first)
}
