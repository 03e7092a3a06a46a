//! Texts that nobody should see.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A token, or another text that opens something to whoever has it. It is written to a wire as it is; it is never
/// printed by accident, and its memory is wiped.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text. Do not log it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Without the white space around it, which people paste along.
    #[must_use]
    pub fn trimmed(&self) -> Self {
        Self::from(self.0.trim())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::control::AddPeer;
    use crate::wire::peer::Authenticate;

    #[test]
    fn s9_a_secret_is_shown_to_a_wire_alone() {
        let token = Secret::from("hunter2");
        let login = Authenticate { token: token.clone(), proof: "AAAA".to_owned(), frame: None };
        let messages = [format!("{token:?}"), format!("{login:?}"), format!("{:#?}", AddPeer { token })];
        assert!(messages.iter().all(|text| text.contains("Secret(..)") && !text.contains("hunter2")), "{messages:?}");
        let written = serde_json::to_string(&login).expect("plain data");
        assert_eq!(written, r#"{"token":"hunter2","proof":"AAAA"}"#);
        let read: Authenticate = serde_json::from_str(&written).expect("as it was written");
        assert_eq!(read.token.reveal(), "hunter2");
    }
}
