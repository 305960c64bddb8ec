use std::fmt;

use engine::{Problem, ports::LedgerError};
use lambda_runtime::Diagnostic;

/// An invocation that failed. Its `errorType` is the problem's code.
pub struct Failed(Problem);

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<LedgerError> for Failed {
    fn from(error: LedgerError) -> Self {
        Self(error.into())
    }
}

impl From<Failed> for Diagnostic {
    fn from(Failed(problem): Failed) -> Self {
        Self { error_type: problem.code.as_str().to_owned(), error_message: problem.detail }
    }
}

/// As the runtime logs it.
impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
