//! What is spoken on the daemon's unix socket: HTTP/1.1 with JSON bodies, one request per connection.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/guests` | | [`GuestSummary`], an array, by name |
//! | `GET /v1/guests/NAME` | | [`GuestStatus`] |
//! | `GET /v1/stat` | | [`StatRow`], an array: the host, then the guests that run, by context |
//! | `POST /v1/guests/NAME/start` | [`StartRequest`] or nothing | [`StartAnswer`], when it has started |
//! | `POST /v1/guests/NAME/stop` | [`StopRequest`] or nothing | [`StopAnswer`], when it has stopped |
//!
//! Anything but status 200 has a [`Refusal`] as its body. Fields may be added to answers; a request with a field that
//! the daemon does not know is refused.

mod client;
mod error;
mod http;
mod words;

pub use client::Client;
pub use error::{Error, Result};
pub use words::{
    Code, GuestStatus, GuestSummary, Refusal, StartAnswer, StartRequest, StatRow, StopAnswer, StopRequest,
};

/// Where the daemon listens unless told otherwise.
pub const SOCKET: &str = "/run/vserverd/api.sock";

/// The group whose members may use the socket. Who may start guests may become root on the host: being in this group is
/// being root.
pub const ADMIN_GROUP: &str = "vserver-admin";
