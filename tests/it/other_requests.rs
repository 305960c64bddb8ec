//! Requests that ask for something else than a mail, or for something before it, and a model that mails all the same.

use domain::{AnswerValue, mentions};
use engine::{evaluation::Case, plan::GivenAnswer};

use crate::inside::{Inside, action, answer};

fn cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/eval/not_a_mail.jsonl");
    Case::read(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Whether a model that mails every address of a prompt gets its way without a question.
async fn is_mailed(inside: &Inside, prompt: &str) -> bool {
    let addresses: Vec<String> = mentions(prompt).iter().map(|mention| mention.address.addr_spec()).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let plan = inside.when(answer(&[action(&addresses)]), prompt).await.unwrap().plan;
    assert_eq!(plan.actions.is_empty(), !plan.questions.is_empty(), "{prompt}");
    !plan.actions.is_empty()
}

#[tokio::test]
async fn a_mail_beside_a_request_for_something_else_is_confirmed_first() {
    let inside = Inside::new(&[]);
    let mut mailed = Vec::new();
    for case in cases() {
        if is_mailed(&inside, &case.prompt).await {
            mailed.push(case.prompt);
        }
    }
    // These begin like any request for a mail, so that only the model can tell that their content is missing.
    let tellable = |prompt: &String| !prompt.starts_with("Send ") && !prompt.starts_with("Email ");
    assert_eq!(mailed.into_iter().filter(tellable).collect::<Vec<_>>(), Vec::<String>::new());

    for prompt in [
        "Please, could you cancel the room, and then tell john@example.com",
        "1. Pay the invoice\n2. Write to john@example.com that it is paid",
        "Storniere die Buchung und schreib john@example.com, dass sie storniert ist",
        "Lies bitte meine Notizen und schick sie an john@example.com",
        "Reserva una mesa y escribe a john@example.com que está reservada",
        "Annule la commande et dis à john@example.com qu'elle est annulée",
        "Where does john@example.com live?",
        "Save the file. Tell john@example.com that it is saved.",
    ] {
        assert!(!is_mailed(&inside, prompt).await, "{prompt}");
    }
    for prompt in [
        "Please tell john@example.com that I cancelled the room",
        "Ask john@example.com to book a table",
        "Email john@example.com: Book a table. Cancel the other one.",
        "Update john@example.com on the room",
        "Follow up with john@example.com about the offer",
        "Check with john@example.com whether noon is fine",
        "Thanks for the help! Tell john@example.com that it works",
        "Schreib john@example.com, dass ich die Buchung storniere",
        "Escribe a john@example.com que reserva una mesa",
        "Écris à john@example.com que j'annule la commande",
    ] {
        assert!(is_mailed(&inside, prompt).await, "{prompt}");
    }
}

#[tokio::test]
async fn a_text_beside_the_prompt_may_be_read_and_nothing_else_may_be_done() {
    let inside = Inside::new(&[]);
    for (prompt, context, mails) in [
        ("Summarize it for john@example.com", Some("We meet at noon."), 1),
        ("Translate this into French and mail it to john@example.com", Some("We meet at noon."), 1),
        ("Lies das und schreib john@example.com, worum es geht", Some("Wir treffen uns um zwölf."), 1),
        ("Summarize it for john@example.com", None, 0),
        ("Book a room and tell john@example.com", Some("We meet at noon."), 0),
    ] {
        inside.model.say(answer(&[action(&["john@example.com"])]));
        let plan = inside.plan_with(prompt, context, Vec::new()).await.unwrap().plan;
        assert_eq!((plan.actions.len(), plan.questions.len()), (mails, 1 - mails), "{prompt}: {:?}", plan.questions);
    }
}

#[tokio::test]
async fn a_person_who_says_yes_gets_the_mail() {
    let inside = Inside::new(&[]);
    let prompt = "Cancel my order and tell john@example.com that I cancelled it";
    let asked = inside.when(answer(&[action(&["john@example.com"])]), prompt).await.unwrap().plan;
    assert_eq!(
        asked.questions,
        [
            "The request asks for something that I cannot do. Should I go ahead with the mail for john@example.com all the same?"
        ]
    );
    for (yes, mails) in [(true, 1), (false, 0)] {
        let given = GivenAnswer { id: asked.clarifications[0].id.clone(), value: AnswerValue::Bool(yes) };
        inside.model.say(answer(&[action(&["john@example.com"])]));
        let plan = inside.plan_with(prompt, None, vec![given]).await.unwrap().plan;
        assert_eq!((plan.actions.len(), plan.questions.len()), (mails, 0), "{yes}: {:?}", plan.notes);
    }
}
