//! Everything that can go wrong between a client and its gateway.

use std::time::Duration;

use veloz_core::types::EventId;

/// Why a call or a stream failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base address cannot be used.
    #[error("{0:?} is no address such as http://127.0.0.1:8080")]
    Url(String),
    /// The token cannot be sent in a header.
    #[error("a token must consist of visible ASCII characters")]
    Token,
    /// The request did not get through, or its answer did not come back whole. An order may have been
    /// placed: send it again with the same id.
    #[error("no answer from the gateway")]
    Transport(#[source] reqwest::Error),
    /// The gateway did not answer in time. What holds for `Transport` holds here.
    #[error("no answer from the gateway within {0:?}")]
    Timeout(Duration),
    /// The gateway answered, and it was no.
    #[error(transparent)]
    Api(#[from] Box<ApiError>),
    /// The answer is not what the API promises.
    #[error("cannot read the answer to {request}")]
    Decode {
        /// What was asked.
        request: String,
        /// What is wrong with the answer.
        source: serde_json::Error,
    },
    /// The answer has a status that no gateway gives: something else has that address.
    #[error("the answer has status {0}, which no gateway gives")]
    Foreign(u16),
    /// The answer is longer than any that the API gives.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// What the stream sent broke the rules of the stream.
    #[error(transparent)]
    Stream(#[from] StreamFault),
}

/// An answer with an error status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({status} {code})")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The stable code, `error` of the answer.
    pub code: String,
    /// For a person.
    pub message: String,
    /// Why an order was refused (`code` is `rejected`).
    pub reason: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

/// Why a connection of a stream was given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamFault {
    /// The gateway ended it, or the network did.
    #[error("the connection was closed")]
    Closed,
    /// Not a byte for too long: the connection is taken for dead.
    #[error("nothing was heard for {0:?}")]
    Silence(Duration),
    /// What answers is not an event stream.
    #[error("the answer is {0:?}, not an event stream")]
    ContentType(String),
    /// A block longer than any that the gateway sends.
    #[error("a block is longer than {0} bytes")]
    BlockTooLong(usize),
    /// An `id:` that is not a number, or a gap or snapshot that cannot be read.
    #[error("cannot read a block: {0}")]
    Malformed(String),
    /// Ids were skipped and no gap was told.
    #[error("events between {after} and {next} are missing")]
    Hole {
        /// The last event that came.
        after: EventId,
        /// The next one that came.
        next: EventId,
    },
}

impl Error {
    /// Whether no connection could be made at all: nothing was sent.
    pub fn is_connect(&self) -> bool {
        matches!(self, Error::Transport(e) if e.is_connect())
    }

    /// Whether the same request may succeed later. What was sent may have had its effect.
    pub fn may_pass(&self) -> bool {
        match self {
            Error::Transport(_) | Error::Timeout(_) | Error::Stream(_) => true,
            Error::Api(e) => matches!(e.status, 408 | 429 | 500..),
            Error::Url(_)
            | Error::Token
            | Error::Decode { .. }
            | Error::Foreign(_)
            | Error::TooLong(_) => false,
        }
    }

    /// Whether a command may have had its effect all the same: it was sent, and the gateway did not
    /// say no.
    pub fn leaves_open(&self) -> bool {
        match self {
            Error::Transport(_) => !self.is_connect(),
            Error::Timeout(_) | Error::Decode { .. } | Error::Foreign(_) | Error::TooLong(_) => {
                true
            }
            // 503 is said before anything is done.
            Error::Api(e) => e.status >= 500 && e.status != 503,
            Error::Url(_) | Error::Token | Error::Stream(_) => false,
        }
    }

    /// The answer, when there was one.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Error::Api(e) => Some(e),
            _ => None,
        }
    }

    /// When the gateway asked to come back.
    pub fn retry_after(&self) -> Option<Duration> {
        self.api()?.retry_after
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Error {
        // Its text repeats the whole address; the cause below it says what happened.
        Error::Transport(error.without_url())
    }
}
