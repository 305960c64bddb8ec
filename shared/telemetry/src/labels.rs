//! What a label may say. Every value comes from a closed set: an enum of this module, or the names that
//! the program gave once at its start ([`Vocabulary`]). No function takes a string for a label.

use std::sync::OnceLock;

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
            pub enum $name { $($(#[$vdoc])* #[doc = concat!("`", $text, "`")] $variant),+ }

            impl $name {
                /// Every value.
                pub const ALL: &'static [Self] = &[$(Self::$variant),+];

                /// The label's text.
                pub const fn as_str(self) -> &'static str {
                    match self { $(Self::$variant => $text),+ }
                }
            }
        )+
    };
}

labels! {
    /// How planning ended.
    PlannerStatus { Ok = "ok", NoAction = "no_action", Questions = "questions", Refused = "refused", Invalid = "invalid", Budget = "budget", Error = "error" }
    /// Which way tokens go.
    Direction { Input = "input", Output = "output" }
    /// What a job came to.
    JobCount { Enqueued = "enqueued", Completed = "completed", Error = "error", Unknown = "unknown" }
    /// What an idempotency key met.
    Idempotency { New = "new", Replayed = "replayed", Conflict = "conflict" }
    /// Yes or no.
    Decision { Allow = "allow", Deny = "deny" }
    /// Whose service.
    Provider { Google = "google", Microsoft = "microsoft" }
    /// What was asked of a provider.
    Operation { Prepare = "prepare", Send = "send" }
    /// What came of it.
    ProviderOutcome {
        Ok = "ok", Rejected = "rejected", Unauthorized = "unauthorized", Forbidden = "forbidden",
        RateLimited = "rate_limited", NotReached = "not_reached", DraftGone = "draft_gone", MaybeSent = "maybe_sent",
    }
    /// An HTTP method.
    Method { Get = "GET", Post = "POST", Delete = "DELETE", Head = "HEAD", Options = "OPTIONS", Other = "other" }
    /// An HTTP status that is answered.
    Status {
        Ok = "200", Accepted = "202", NoContent = "204", Found = "302", SeeOther = "303", TemporaryRedirect = "307",
        BadRequest = "400", Unauthorized = "401", Forbidden = "403", NotFound = "404", MethodNotAllowed = "405",
        Conflict = "409", PayloadTooLarge = "413", UnsupportedMediaType = "415", Unprocessable = "422",
        TooManyRequests = "429", Internal = "500", BadGateway = "502", Unavailable = "503", GatewayTimeout = "504",
        Other = "other",
    }
    /// What became of a flush.
    FlushOutcome {
        /// All was added.
        Ok = "ok",
        /// Nothing was, and it goes with the next one.
        Refused = "refused",
        /// Nobody knows, so it is dropped.
        Lost = "lost",
    }
}

impl Method {
    /// The method of this name.
    pub fn of(name: &str) -> Self {
        Self::ALL.iter().copied().find(|method| method.as_str() == name).unwrap_or(Self::Other)
    }
}

impl Status {
    /// The status of this number.
    pub fn of(code: u16) -> Self {
        let is = |status: &Self| status.as_str().parse() == Ok(code);
        Self::ALL.iter().copied().find(is).unwrap_or(Self::Other)
    }
}

/// The names that this program gives to things: labels from the start on, and no others after it.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    /// The catalogue's actions, each with its provider.
    pub actions: Vec<(Provider, &'static str)>,
    /// The patterns of the router's table.
    pub routes: Vec<&'static str>,
}

static VOCABULARY: OnceLock<Vocabulary> = OnceLock::new();
const OTHER: &str = "other";

impl Vocabulary {
    /// What was given first counts, for the whole process.
    ///
    /// # Panics
    /// When a name is not one that can be kept and printed as it is.
    pub(crate) fn give(self) -> &'static Self {
        for name in self.actions.iter().map(|(_, action)| action).chain(&self.routes) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/{}._-".contains(&byte);
            assert!(name.bytes().all(plain), "{name:?} is no label");
        }
        VOCABULARY.get_or_init(|| self)
    }
}

/// An action of the catalogue, or `other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Action(&'static str);

impl Action {
    /// The action of this name; `other` if the [`Vocabulary`] does not hold it.
    pub fn named(name: &str) -> Self {
        let known = VOCABULARY.get().and_then(|words| words.actions.iter().find(|(_, action)| *action == name));
        Self(known.map_or(OTHER, |(_, action)| action))
    }

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// A pattern of the router's table, or `other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route(&'static str);

impl Route {
    /// The pattern that matched; `other` if the [`Vocabulary`] does not hold it.
    pub fn matched(pattern: Option<&str>) -> Self {
        let known = VOCABULARY.get().and_then(|words| words.routes.iter().find(|route| Some(**route) == pattern));
        Self(known.copied().unwrap_or(OTHER))
    }

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}
