//! Write an action or a receiver as a native executable.
