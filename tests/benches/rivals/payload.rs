//! What is sent: JSON of a certain size.

use serde_json::value::RawValue;

#[derive(Debug, Clone, Copy)]
pub(super) struct Payload(usize);

pub(super) const SMALL: Payload = Payload(200);
pub(super) const LARGE: Payload = Payload(16 * 1024);

impl Payload {
    /// Like what a sensor would say, many times.
    pub(super) fn text(self) -> String {
        let mut text = String::from("{\"readings\":[");
        while text.len() < self.0 - 40 {
            text.push_str("{\"sensor\":\"hall\",\"value\":21.5},");
        }
        text.push_str("0],\"pad\":\"");
        let pad = self.0.saturating_sub(text.len() + 2);
        text.push_str(&"x".repeat(pad));
        text.push_str("\"}");
        text
    }

    pub(super) fn raw(self) -> Box<RawValue> {
        RawValue::from_string(self.text()).expect("JSON")
    }
}
