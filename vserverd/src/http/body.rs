//! Bodies: short ones in, whole ones out.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use serde::de::DeserializeOwned;
use vserver_api::{Code, Refusal};

/// Longest request body, bytes: ours have two dozen.
const MAX_BODY: usize = 4 << 10;

/// Reads a request's body to its end, or to the limit.
pub async fn read(mut incoming: Incoming) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut incoming).poll_frame(context)).await {
        let frame = frame.map_err(|error| Refusal::new(Code::BadRequest, format!("the body broke off: {error}")))?;
        let data = frame.into_data().unwrap_or_default();
        if bytes.len() + data.len() > MAX_BODY {
            return Err(Refusal::new(Code::TooLarge, format!("the body has more than {MAX_BODY} bytes")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Understands a body; none at all means all defaults.
pub fn parse<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, Refusal> {
    if bytes.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    let wrong = |error| Refusal::new(Code::BadRequest, format!("the body is not understood: {error}"));
    serde_json::from_slice(bytes).map_err(wrong)
}

/// A body that is known as a whole, and so has a length.
#[derive(Debug)]
pub struct Whole(Option<Bytes>);

impl Whole {
    /// Of these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Some(bytes.into()))
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vserver_api::StartRequest;

    #[test]
    fn nothing_is_all_defaults_and_nonsense_is_refused() {
        assert_eq!(parse::<StartRequest>(b"").unwrap(), StartRequest::default());
        assert_eq!(parse::<StartRequest>(b"\r\n").unwrap(), StartRequest::default());
        assert!(parse::<StartRequest>(br#"{"strict":true}"#).unwrap().strict);
        for bad in ["[]x", "strict=true", r#"{"strict":true}{"strict":false}"#, r#"{"kill":true}"#] {
            assert_eq!(parse::<StartRequest>(bad.as_bytes()).unwrap_err().code, Code::BadRequest, "{bad}");
        }
    }
}
