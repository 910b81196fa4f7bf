//! From method and path to what is wanted.

use hyper::{Method, Uri};
use vserver_api::{Code, Refusal};
use vserver_types::GuestName;

/// Something that may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// All guests.
    List,
    /// One guest.
    Status(GuestName),
    /// What everybody uses.
    Stat,
    /// Start a guest.
    Start(GuestName),
    /// Stop a guest.
    Stop(GuestName),
}

/// Understands a request line.
pub fn route(method: &Method, uri: &Uri) -> Result<Action, Refusal> {
    let path = uri.path();
    if uri.query().is_some() {
        return Err(Refusal::new(Code::BadRequest, format!("'{path}' takes no parameters after '?'")));
    }
    let words: Vec<&str> = path.strip_prefix('/').unwrap_or_default().split('/').collect();
    let (wanted, action) = match words[..] {
        ["v1", "guests"] => (Method::GET, Action::List),
        ["v1", "stat"] => (Method::GET, Action::Stat),
        ["v1", "guests", guest] => (Method::GET, Action::Status(name(guest)?)),
        ["v1", "guests", guest, "start"] => (Method::POST, Action::Start(name(guest)?)),
        ["v1", "guests", guest, "stop"] => (Method::POST, Action::Stop(name(guest)?)),
        _ => return Err(Refusal::new(Code::NoSuchRoute, format!("there is nothing at '{path}'"))),
    };
    if *method == wanted {
        return Ok(action);
    }
    Err(Refusal::new(Code::BadMethod, format!("'{path}' is asked for by {wanted}, not by {method}")))
}

/// No character of a name needs an escape, so none is understood.
fn name(text: &str) -> Result<GuestName, Refusal> {
    text.parse().map_err(|error: vserver_types::ParseError| Refusal::new(Code::BadName, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(method: Method, uri: &str) -> Code {
        route(&method, &uri.parse().unwrap()).unwrap_err().code
    }

    #[test]
    fn each_request_has_one_place() {
        let name: GuestName = "web+1".parse().unwrap();
        let expected = [
            (Method::GET, "/v1/guests", Action::List),
            (Method::GET, "/v1/stat", Action::Stat),
            (Method::GET, "/v1/guests/web+1", Action::Status(name.clone())),
            (Method::POST, "/v1/guests/web+1/start", Action::Start(name.clone())),
            (Method::POST, "/v1/guests/web+1/stop", Action::Stop(name)),
        ];
        for (method, uri, action) in expected {
            assert_eq!(route(&method, &uri.parse().unwrap()).unwrap(), action);
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for uri in ["/", "/v1", "/v1/", "/v2/guests", "/v1/guests/a/b", "/v1/guests/a/start/", "//v1/stat"] {
            assert_eq!(code(Method::GET, uri), Code::NoSuchRoute, "{uri}");
        }
        assert_eq!(code(Method::POST, "/v1/guests"), Code::BadMethod);
        assert_eq!(code(Method::GET, "/v1/guests/a/start"), Code::BadMethod);
        assert_eq!(code(Method::DELETE, "/v1/guests/a"), Code::BadMethod);
        assert_eq!(code(Method::GET, "/v1/stat?all=1"), Code::BadRequest);
    }

    #[test]
    fn a06_only_a_name_is_a_name() {
        for bad in ["..", ".", "", "%2e%2e", "a%00", "-rf", "a%2fb", "~root", &"x".repeat(300)] {
            assert_eq!(code(Method::GET, &format!("/v1/guests/{bad}")), Code::BadName, "{bad}");
            assert_eq!(code(Method::POST, &format!("/v1/guests/{bad}/start")), Code::BadName, "{bad}");
        }
    }
}
