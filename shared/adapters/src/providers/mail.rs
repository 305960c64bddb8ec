//! Mails: the params that several actions share, and the port to whatever carries them.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use domain::{Address, Evidence, Mail, Violation, Warning};
use engine::ports::{
    Access, Action, ActionSpec, Call, Done, Example, Instructions, ParamAddress, ProviderError, RenderContext,
    RenderError, Rendered, Wording,
};
use serde_json::{Value, json};

use super::params;
use crate::exchange::harmless;

/// How a provider carries a mail.
#[async_trait]
pub(super) trait MailTransport: Send + Sync + 'static {
    /// The fields of a mail that it carries.
    const FIELDS: &'static [&'static str];

    /// As [`Call::warnings`].
    fn warnings(&self, _: &Mail) -> Vec<Warning> {
        Vec::new()
    }

    /// As [`Call::render`].
    fn render(&self, mail: &Mail, context: &RenderContext) -> Result<Rendered, RenderError>;

    /// Makes a draft of the rendered mail.
    async fn create_draft(&self, mail: &Mail, rendered: &Rendered, access: &Access) -> Result<Evidence, ProviderError>;

    /// Sends a draft.
    async fn send_draft(&self, draft: &Evidence, access: &Access) -> Result<Done, ProviderError>;

    /// Sends the rendered mail without a draft.
    async fn send(&self, mail: &Mail, rendered: &Rendered, access: &Access) -> Result<Done, ProviderError>;
}

/// What a model is told of sending a mail beside its schema and examples.
pub(super) const INSTRUCTIONS: Instructions = Instructions {
    intent: "send_email",
    when: "the message asks for a mail now, and says to whom by address, name or meeting",
    choose: "",
    rules: RULES,
    examples: &[],
    requests: &[REQUESTS],
    other_requests: OTHER_REQUESTS,
    reading_requests: READING_REQUESTS,
    handing_over: HANDING_OVER,
    telling: TELLING,
    nouns: NOUNS,
    serves: &[],
};

/// The same of leaving a draft.
pub(super) const DRAFTS: Instructions = Instructions {
    intent: "draft_email",
    when: "the message asks for a draft of a mail, and says to whom by address, name or meeting",
    examples: &[Example {
        request: "Draft a mail to ivo@fabrikam.example: the samples came today",
        lookups: &[],
        params: &[
            r#"{"to":["ivo@fabrikam.example"],"cc":null,"bcc":null,"reply_to":null,"subject":"Samples","text":"Hello Ivo, the samples came today.","html":null}"#,
        ],
        question: None,
    }],
    requests: &[REQUESTS, DRAFTING, "gmail, outlook"],
    serves: &[DRAFTING],
    ..INSTRUCTIONS
};

/// Sentences that ask for a draft begin like this.
const DRAFTING: &str = "draft, compose, prepare, create a draft, create an email draft, add a draft, generate a draft, leave a draft, \
    make a draft, make me a draft, open a draft, put a draft, save a draft, start a draft, write a draft";

/// How a model fills in a mail.
const RULES: &[&str] = &[
    "One entry in \"actions\" for each mail. People who get the same mail share one entry: all of them in \"to\". \
     \"cc\" where it says cc or copy, \"bcc\" where it says bcc or blind copy, \"reply_to\" where replies should go \
     elsewhere; else null.",
    "\"text\" is what the person would write: one or two sentences in the language of the message, no placeholders, \
     no signature. \"html\" is null unless HTML is asked for.",
];

/// Sentences that ask for something else than a mail, or for something that has to happen before it, begin like this.
/// English, German, Spanish and French, as far as people ask an assistant for such things.
const OTHER_REQUESTS: &[&str] = &[
    "add, allow, approve, arrange, ban, block, book, buy, calculate, call, cancel, change, check for, check if, check my, check the, \
     check what, check when, check whether, clean, close, collect, compute, connect, convert, count, create, decline, delete, \
     deploy, do, download, edit, export, fetch, figure out, file, fill, find, fix, gather, generate, get a, get all, get last, get me, get my, get our, get some, get the, go to, import, install, \
     invite, link, list, lock, log, look for, look in, look up, make, mark, merge, move, mute, my account, my address, my email, my mail, my new address, my new email, open, order, pay, play, postpone, print, \
     publish, pull, put, rebook, register, remind me, remove, rename, replace, reschedule, research, reserve, reset, restart, \
     run, save, schedule a call, schedule a demo, schedule a meeting, schedule a visit, schedule an appointment, \
     schedule an interview, schedule it, schedule my, schedule our, schedule the, schedule time, search, set, show, sign, sort, start, stop, subscribe, switch, take, transfer, \
     turn, unblock, unsubscribe, update my, update our, update the, upgrade, upload, wait, watch, work out, write a blog, write a post, \
     write a poem, write a program, write a report, write a script, write a song, write a story, write an article, write an essay, \
     write code, write down, write some",
    "what, what's, who, who's, whose, where, where's, which, why, how, is, are, am, was, were, did, does, has",
    "aktualisiere, ändere, bestell, bestelle, bezahle, blockiere, buch, buche, entferne, erstelle, finde, füge, \
     hol, hole, kauf, kaufe, kündige, leg, lege, lösch, lösche, mach, mache, öffne, reservier, reserviere, schau, schließ, schließe, \
     speicher, speichere, storniere, such, suche, trag, trage, überweis, überweise, verschieb, verschiebe, was, wer, \
     wo, wie, warum, welche, zahl, zahle, zeig, zeige",
    "abre, actualiza, añade, apaga, borra, busca, calcula, cambia, cancela, compra, crea, elimina, encuentra, guarda, haz, mueve, \
     muestra, paga, pon, reserva, transfiere, qué, quién, dónde, cómo, por qué, cuál",
    "achète, ajoute, annule, bloque, calcule, change, cherche, commande, crée, déplace, fais, ferme, mets, montre, ouvre, paie, \
     regarde, réserve, supprime, transfère, trouve, qui, que, quoi, où, comment, pourquoi, quel, quelle",
];

/// Sentences that ask for something about a text begin like this.
const READING_REQUESTS: &[&str] = &[
    "look at, read, review, summarise, summarize, translate, compare, go through",
    "fass, fasse, lies, übersetz, übersetze, vergleich, vergleiche",
    "resume, traduce, lee, compara, lis, résume, traduis, compare",
];

/// English sentences that ask for a mail begin like this.
pub(super) const REQUESTS: &str = "send, email, e-mail, mail, write, tell, let, notify, inform, message, msg, text, ask, thank, wish, \
    congratulate, remind, warn, apologise to, apologize to, apologise, apologize, say, say hi, ping, contact, reach out, follow up, check with, \
    get back, get in touch, update, request, offer, forward, cc, bcc, copy, drop, shoot, confirm, introduce, explain, \
    announce, draft an email, draft a mail, draft a message, draft a note, draft a short, compose an email, \
    compose a mail, compose a message, prepare an email, prepare a mail, prepare a message, schedule an email, schedule a mail, schedule a message, new mail, new email, new message, pass on, answer @, reply to @, respond to @, \
    a mail, an email, an e-mail, a message, a note, a short, a quick, a reminder, a thank, a thank-you, quick note, note, to, subject, reply-to, \
    replies, recipient, recipients";

/// Words for a mail.
const NOUNS: &[&str] = &["mail, email, e-mail, correo, courriel"];

/// Sentences that hand something over begin like this.
const HANDING_OVER: &[&str] = &[
    "send, email, e-mail, mail, write, answer, reply to, respond to, forward, share, give, pass, show, copy",
    "schick, schicke, sende, maile, leite, gib",
    "envía, envíe, envíale, manda, mande, mándale, reenvía, comparte",
    "envoie, envoyez, transfère, transférez, partage, donne",
];

/// Sentences that tell something begin like this.
const TELLING: &[&str] = &[
    "tell, let, notify, inform, message, text, remind, explain to",
    "sag, sage, schreib, schreibe, schreib an, informiere, teile",
    "dile a, di a, escribe a, informa a, avisa a",
    "dis à, écris à, informe, préviens",
];

/// A condition that a mail depends on.
pub(super) const CONDITION_EXAMPLE: Example = Example {
    request: "If the train is late tonight, email lou@fabrikam.example that dinner is off",
    lookups: &[],
    params: &[],
    question: Some("I cannot wait and see. Should I write to lou@fabrikam.example now?"),
};

/// A mail whose text nobody has yet.
pub(super) const CONTENT_EXAMPLE: Example = Example {
    request: "Send pat@fabrikam.example the figures of last week",
    lookups: &[],
    params: &[],
    question: Some("I do not have the figures of last week. What should the mail to pat@fabrikam.example say?"),
};

/// A mail to people whom the account knows.
pub(super) const LOOKUP_EXAMPLE: Example = Example {
    request: "Tell Ravi and everyone in the 10:00 meeting on 4 December 2026 that it moves to 11",
    lookups: &[
        r#"{"id":"l1","find":"contact","name":"Ravi"}"#,
        r#"{"id":"l2","find":"event","day":"2026-12-04","at":"10:00","title":null}"#,
    ],
    params: &[
        r#"{"to":[{"$ref":"l1.address"},{"$ref":"l2.attendees"}],"subject":"Meeting moves to 11","text":"Our 10:00 meeting moves to 11.","html":null,"cc":null,"bcc":null,"reply_to":null}"#,
    ],
    question: None,
};

/// The sentences for people about a mail.
pub(super) const WORDING: Wording = Wording {
    noun: "the mail",
    ask_recipients: "Who should receive the mail? Give the address.",
    ask_text: "What should the mail say?",
    look: "Look in the account's sent mail",
};

/// The sentences for people about a draft.
pub(super) const DRAFT_WORDING: Wording =
    Wording { noun: "the draft", look: "Look among the account's drafts", ..WORDING };

struct MailAction<T> {
    spec: ActionSpec,
    schema: OnceLock<Value>,
    transport: Arc<T>,
}

/// An action whose params are a mail.
pub(super) fn action(spec: ActionSpec, transport: impl MailTransport) -> Arc<dyn Action> {
    Arc::new(MailAction { spec, schema: OnceLock::new(), transport: Arc::new(transport) })
}

/// One mail, ready to be carried.
struct MailCall<T> {
    mail: Mail,
    transport: Arc<T>,
}

impl<T: MailTransport> Action for MailAction<T> {
    fn spec(&self) -> &ActionSpec {
        &self.spec
    }

    fn params_schema(&self) -> &Value {
        self.schema.get_or_init(|| {
            let mut schema = params::schema::<Mail>();
            if let Some(fields) = schema["properties"].as_object_mut() {
                fields.retain(|field, _| T::FIELDS.contains(&field.as_str()));
            }
            schema
        })
    }

    fn parse(&self, params: &Value) -> Result<Box<dyn Call>, Vec<Violation>> {
        Ok(Box::new(MailCall { mail: Mail::parse(params, T::FIELDS)?, transport: Arc::clone(&self.transport) }))
    }
}

#[async_trait]
impl<T: MailTransport> Call for MailCall<T> {
    fn params(&self) -> Value {
        self.mail.to_params()
    }

    fn addresses(&self) -> Vec<ParamAddress<'_>> {
        let mut addresses = Vec::new();
        for (field, list) in self.mail.address_fields() {
            for (place, address) in list.iter().enumerate() {
                let item = if list.len() > 1 { format!("/{place}") } else { String::new() };
                let pointer = format!("/{field}{item}");
                addresses.push(ParamAddress { pointer, address, is_recipient: field != "reply_to" });
            }
        }
        addresses
    }

    fn map_addresses(&self, change: &mut dyn FnMut(Address) -> Address) -> Option<Box<dyn Call>> {
        let mut mail = self.mail.clone();
        mail.map_addresses(change);
        Some(Box::new(Self { mail, transport: Arc::clone(&self.transport) }))
    }

    fn title(&self) -> String {
        self.mail.subject.clone()
    }

    fn readable(&self) -> Value {
        let mut fields = json!({ "subject": self.mail.subject, "text": self.mail.text, "html": self.mail.html });
        for field in ["in_reply_to", "references", "thread_id"] {
            let value = self.mail.to_params()[field].take();
            if !value.is_null() {
                fields[field] = value;
            }
        }
        for (field, list) in self.mail.address_fields() {
            fields[field] = list.iter().map(ToString::to_string).collect();
        }
        fields
    }

    fn warnings(&self) -> Vec<Warning> {
        self.transport.warnings(&self.mail)
    }

    fn render(&self, context: &RenderContext) -> Result<Rendered, RenderError> {
        self.transport.render(&self.mail, context)
    }

    async fn prepare(&self, rendered: &Rendered, access: &Access) -> Result<Evidence, ProviderError> {
        self.transport.create_draft(&self.mail, rendered, access).await.map_err(harmless)
    }

    async fn perform(
        &self,
        rendered: &Rendered,
        access: &Access,
        draft: Option<&Evidence>,
    ) -> Result<Done, ProviderError> {
        match draft {
            Some(draft) => self.transport.send_draft(draft, access).await,
            None => self.transport.send(&self.mail, rendered, access).await,
        }
    }
}
