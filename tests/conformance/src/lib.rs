//! One suite, run over every provider against the sandbox
