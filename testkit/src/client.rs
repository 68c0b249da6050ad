//! A blocking HTTP/1.1 client, small enough to send what no library would send.
//!
//! It follows no redirect, adds nothing but `Host` and the framing of the body, and never retries.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::process::PATIENCE;

/// A stream a connection can run over: TCP, or TLS over it.
pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// Where to connect. Each request of a client has a connection of its own.
#[derive(Clone, Copy)]
pub struct Client {
    address: SocketAddr,
}

impl Client {
    /// A client of the server at this address.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Opens a connection to keep for several requests.
    pub fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection::over(stream, &self.address.to_string())
    }

    /// Sends one request over a new connection.
    pub fn send(&self, request: &Request) -> Response {
        self.connect().send(request)
    }

    /// Sends a GET.
    pub fn get(&self, path: &str) -> Response {
        self.send(&Request::new("GET", path))
    }

    /// Sends a HEAD.
    pub fn head(&self, path: &str) -> Response {
        self.send(&Request::new("HEAD", path))
    }

    /// Sends a DELETE.
    pub fn delete(&self, path: &str) -> Response {
        self.send(&Request::new("DELETE", path))
    }
}

/// One request, said field by field.
#[derive(Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Payload>,
}

#[derive(Clone)]
enum Payload {
    Whole(Vec<u8>),
    Chunked(Vec<Vec<u8>>),
}

impl Request {
    /// A request without fields or a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: None }
    }

    /// Adds a field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A body with its `Content-Length`.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(Payload::Whole(body.into()));
        self
    }

    /// A chunked body; an empty piece would end it early and is left out.
    pub fn chunked(mut self, pieces: Vec<Vec<u8>>) -> Self {
        self.body = Some(Payload::Chunked(pieces));
        self
    }
}

/// One connection, for requests in turn or for bytes as they are.
pub struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    host: String,
}

impl Connection {
    /// Speaks over any stream; `host` goes into the `Host` field.
    pub fn over(stream: impl Stream + 'static, host: &str) -> Self {
        Self { stream: BufReader::new(Box::new(stream)), host: host.to_owned() }
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Sends a request and reads its final response.
    pub fn send(&mut self, request: &Request) -> Response {
        self.try_send(request).unwrap()
    }

    /// Sends a request and reads its final response, or says how the connection failed. A server that answers
    /// early and closes is heard: a failed write alone is not the end.
    pub fn try_send(&mut self, request: &Request) -> io::Result<Response> {
        let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
        if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: {}\r\n", self.host);
        }
        for (name, value) in &request.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match &request.body {
            Some(Payload::Whole(body)) => head += &format!("Content-Length: {}\r\n", body.len()),
            Some(Payload::Chunked(_)) => head += "Transfer-Encoding: chunked\r\n",
            None => {}
        }
        head += "\r\n";
        let written = self.write(head.as_bytes()).and_then(|()| match &request.body {
            Some(Payload::Whole(body)) => self.write(body),
            Some(Payload::Chunked(pieces)) => {
                for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
                    self.write(format!("{:x}\r\n", piece.len()).as_bytes())?;
                    self.write(piece)?;
                    self.write(b"\r\n")?;
                }
                self.write(b"0\r\n\r\n")
            }
            None => Ok(()),
        });
        match (self.read_response(&request.method), written) {
            (Ok(response), _) => Ok(response),
            (Err(_), Err(unsent)) => Err(unsent),
            (Err(unread), Ok(())) => Err(unread),
        }
    }

    /// Reads one final response; `1xx` ones are passed over.
    pub fn read_response(&mut self, method: &str) -> io::Result<Response> {
        loop {
            let (status, headers) = self.read_head()?;
            if (100..200).contains(&status) {
                continue;
            }
            let mut response = Response { status, headers, body: Vec::new() };
            if method != "HEAD" && status != 204 && status != 304 {
                response.body = self.read_body(&response)?;
            }
            return Ok(response);
        }
    }

    /// Reads the status and the fields of one response, leaving its body in the connection.
    pub fn read_head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let line = self.read_line()?;
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| line.strip_prefix("HTTP/1.0 "))
            .and_then(|rest| rest.get(..3))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| io::Error::other(format!("not a status line: `{line}`")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| io::Error::other(format!("not a field: `{line}`")))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn read_body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = self.read_line()?;
                let size = u64::from_str_radix(&size, 16).map_err(io::Error::other)?;
                if size == 0 {
                    while !self.read_line()?.is_empty() {}
                    return Ok(body);
                }
                self.read_exactly(size, &mut body)?;
                self.read_line()?;
            }
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            self.read_exactly(length, &mut body)?;
        } else {
            self.stream.read_to_end(&mut body)?;
        }
        Ok(body)
    }

    fn read_exactly(&mut self, size: u64, body: &mut Vec<u8>) -> io::Result<()> {
        let read = (&mut self.stream).take(size).read_to_end(body)?;
        if (read as u64) < size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the body ended {read} of {size} bytes in"),
            ));
        }
        Ok(())
    }

    /// Reads whatever comes, up to `limit` bytes; returns 0 at the end of the connection.
    pub fn read_some(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; limit];
        let read = self.stream.read(&mut buffer)?;
        buffer.truncate(read);
        Ok(buffer)
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        (&mut self.stream).take(64 * 1024).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended within a line"));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line).map_err(io::Error::other)
    }
}

/// One response, read whole.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first field of this name (given in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// The code of the first error in the body, as the specification spells it.
    pub fn error_code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Where the next page of a list is, if there is one.
    pub fn next_page(&self) -> Option<String> {
        let link = self.header("link")?;
        let path = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
        assert!(path.starts_with('/'), "a path: {link}");
        Some(path.to_owned())
    }

    /// This response, if its status is the expected one; with the body in the message if not.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}
