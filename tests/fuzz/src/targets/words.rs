//! Words of command lines and of one-line files: numbers, sizes, names, addresses.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use vserver_config::{NewInterface, Style};
use vserver_types::{Bytes, GuestAddress, GuestName, Nid, Resource, Xid};

/// What is understood is printed so that it is understood again, as the same.
pub fn words(bytes: &[u8]) {
    let text = super::text(bytes);
    both::<GuestName>(&text);
    both::<Xid>(&text);
    both::<Nid>(&text);
    both::<GuestAddress>(&text);
    both::<Style>(&text);
    // A size is printed rounded.
    if let Ok(size) = text.parse::<Bytes>() {
        let _ = size.to_string();
    }
    if let Ok(name) = text.parse::<GuestName>() {
        assert!(!name.as_str().contains('/') && !name.as_str().starts_with('.'), "a name is one component of a path");
    }
    let _ = (text.parse::<NewInterface>(), Resource::from_name(&text), vserver_config::personality_type(&text));
    let _ = vserver_monitor::owner_in(&text, &[vserver_types::CgroupBase::default()]);
}

fn both<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let again = value.to_string().parse::<T>().ok();
        assert_eq!(again, Some(value), "from {text:?}");
    }
}
