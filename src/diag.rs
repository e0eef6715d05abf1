//! What the layer says about its own trouble.

/// One thing that went wrong, in words that name the fix.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Diagnostic {}
