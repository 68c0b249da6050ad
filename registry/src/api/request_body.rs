//! A request body, read frame by frame under a deadline. A client that stalls or trickles gets an error; the bytes it
//! sent before that are kept by the upload.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tokio::time::Instant;

use super::{BoxError, Settings};

/// How much of an unread body is discarded to keep the connection, in bytes. A longer one closes it.
const DRAIN_BYTES: u64 = 256 * 1024;

/// The longest that discarding may take.
const DRAIN_TIME: Duration = Duration::from_secs(2);

pub(super) struct RequestBody {
    // `None` after the last frame, or after an error.
    body: Option<UnsyncBoxBody<Bytes, BoxError>>,
    /// The length of the body in bytes, if the client announced it.
    pub(super) length: Option<u64>,
    // The client waits for `100 Continue`, which hyper sends when the body is first polled.
    awaits_continue: bool,
    broken: bool,
    received: u64,
    settings: Settings,
    /// How much longer to wait in the current window, and the bytes received in it.
    patience: Duration,
    in_window: u64,
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error(
        "the request's body came to a halt after {received} bytes: less than {minimum_rate} bytes per second \
         (`server.limits.minimum_rate`) for {stall:?} (`server.limits.stall`); send the rest again from where the server has it"
    )]
    Stalled { received: u64, minimum_rate: u64, stall: Duration },
    #[error("the request's body broke off after {received} bytes")]
    Broken {
        received: u64,
        #[source]
        source: BoxError,
    },
}

impl RequestBody {
    pub(super) fn new<B>(body: B, headers: &HeaderMap, settings: &Settings) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // From hyper, which has already validated `Content-Length`.
        let length = body.size_hint().exact();
        let body = (!body.is_end_stream()).then(|| body.map_err(Into::into).boxed_unsync());
        let awaits_continue = body.is_some()
            && headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        Self {
            body,
            length,
            awaits_continue,
            broken: false,
            received: 0,
            patience: settings.stall,
            in_window: 0,
            settings: settings.clone(),
        }
    }

    /// The next bytes, or `None` at the end. Only time spent waiting for the client counts against the deadline, not
    /// time the caller spends with the bytes.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            let Some(body) = &mut self.body else { return Ok(None) };
            let began = Instant::now();
            let frame = tokio::time::timeout(self.patience, body.frame()).await;
            match frame {
                Err(_) => {
                    self.fail();
                    let Settings { stall, minimum_rate, .. } = self.settings;
                    return Err(BodyError::Stalled { received: self.received, minimum_rate, stall });
                }
                Ok(None) => self.body = None,
                Ok(Some(Err(source))) => {
                    self.fail();
                    return Err(BodyError::Broken { received: self.received, source });
                }
                Ok(Some(Ok(frame))) => {
                    self.awaits_continue = false;
                    // Trailers are ignored.
                    let Ok(bytes) = frame.into_data() else { continue };
                    self.patience = self.patience.saturating_sub(began.elapsed());
                    self.in_window += bytes.len() as u64;
                    if self.in_window >= self.settings.minimum_rate.saturating_mul(self.settings.stall.as_secs()).max(1)
                    {
                        self.in_window = 0;
                        self.patience = self.settings.stall;
                    }
                    self.received += bytes.len() as u64;
                    if !bytes.is_empty() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    fn fail(&mut self) {
        self.body = None;
        self.broken = true;
    }

    /// Discards the unread rest of the body if it is small, and returns whether the connection can be reused. Without
    /// this, a client that is still sending would see a connection reset instead of the response.
    pub(super) async fn settle(&mut self) -> bool {
        match self.body {
            None => !self.broken,
            // Boxed: most requests have no body, and their future should stay small.
            Some(_) => Box::pin(self.drain()).await,
        }
    }

    async fn drain(&mut self) -> bool {
        let rest = self.length.map(|length| length.saturating_sub(self.received));
        // Polling the body would send `100 Continue`, and the client would send all of it.
        if self.awaits_continue || rest.is_some_and(|rest| rest > DRAIN_BYTES) {
            return false;
        }
        let limit = self.received + DRAIN_BYTES;
        let drain = async {
            while self.received <= limit {
                match self.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
            false
        };
        tokio::time::timeout(DRAIN_TIME, drain).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;
    use http_body_util::Full;

    use super::*;

    /// A body of `count` frames of `size` bytes, one each `every`.
    struct Dripping {
        size: usize,
        every: Duration,
        count: usize,
        sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    }

    impl http_body::Body for Dripping {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.count == 0 {
                return Poll::Ready(None);
            }
            let every = self.every;
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(every)));
            std::task::ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
            self.count -= 1;
            Poll::Ready(Some(Ok(Frame::data(vec![0; self.size].into()))))
        }
    }

    fn dripping(size: usize, every: Duration, count: usize) -> RequestBody {
        let settings = Settings { stall: Duration::from_secs(2), minimum_rate: 100, ..Settings::default() };
        RequestBody::new(Dripping { size, every, count, sleep: None }, &HeaderMap::new(), &settings)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_below_the_minimum_rate_is_given_up_on() {
        let mut body = dripping(50, Duration::from_secs(1), 1000);
        assert_eq!(body.next().await.unwrap().unwrap().len(), 50);
        let error = loop {
            if let Err(error) = body.next().await {
                break error;
            }
        };
        assert!(matches!(error, BodyError::Stalled { received: 50..=150, .. }), "{error}");
        assert!(!body.settle().await, "the connection cannot go on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_keeps_the_minimum_rate_may_take_its_time() {
        let mut body = dripping(150, Duration::from_secs(1), 1000);
        while body.next().await.unwrap().is_some() {}
        assert_eq!(body.received, 150_000);
        assert!(body.settle().await);
    }

    #[tokio::test(start_paused = true)]
    async fn time_spent_in_the_handler_does_not_count_against_the_client() {
        let mut body = dripping(50, Duration::ZERO, 10);
        while body.next().await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_unread_body_is_discarded_and_a_large_one_closes_the_connection() {
        let of = |size: usize, headers: &HeaderMap| {
            RequestBody::new(Full::new(Bytes::from(vec![0; size])), headers, &Settings::default())
        };
        assert!(of(0, &HeaderMap::new()).settle().await);
        assert!(of(256 * 1024, &HeaderMap::new()).settle().await);
        assert!(!of(256 * 1024 + 1, &HeaderMap::new()).settle().await, "not even begun");
        let waiting = HeaderMap::from_iter([(header::EXPECT, http::HeaderValue::from_static("100-continue"))]);
        assert!(!of(10, &waiting).settle().await, "never asked for");
        assert!(of(0, &waiting).settle().await);
        let mut endless = dripping(64 * 1024, Duration::ZERO, usize::MAX);
        assert!(!endless.settle().await);
        assert!(endless.received < 400 * 1024, "{}", endless.received);
        assert!(!dripping(1000, Duration::from_secs(1), 1000).settle().await, "slow");
    }
}
