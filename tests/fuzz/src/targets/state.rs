//! What programs tell each other: state files, and the words on sockets.

use serde::Serialize;
use serde::de::DeserializeOwned;
use vserver_api::{Refusal, StartRequest, StopRequest};
use vserver_runtime::bare::Bare;
use vserver_runtime::control::{Reply, Request};
use vserver_runtime::settings::Settings;
use vserver_runtime::{Plan, RunRecord};

/// What is understood is written so that it is understood again.
pub fn files(bytes: &[u8]) {
    both::<RunRecord>(bytes);
    both::<Bare>(bytes);
    both::<Settings>(bytes);
    both::<Plan>(bytes);
    both::<Request>(bytes);
    both::<Reply>(bytes);
    both::<StartRequest>(bytes);
    both::<StopRequest>(bytes);
    both::<Refusal>(bytes);
}

fn both<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_vec(&value).unwrap();
        let again: T = serde_json::from_slice(&written).unwrap();
        assert_eq!(serde_json::to_vec(&again).unwrap(), written);
    }
}
