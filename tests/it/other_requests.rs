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

/// The requests of a file for which a mail is right.
fn mails(name: &str) -> Vec<String> {
    let path = format!("{}/../../tests/fixtures/eval/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let cases = Case::read(&std::fs::read_to_string(path).unwrap()).unwrap();
    cases.into_iter().filter(|case| !case.actions.is_empty()).map(|case| case.prompt).collect()
}

#[tokio::test]
async fn ordinary_requests_for_a_mail_are_not_asked_about() {
    let inside = Inside::new(&[]);
    for prompt in ["plain", "plain_english"].into_iter().flat_map(mails) {
        assert!(is_mailed(&inside, &prompt).await, "{prompt}");
    }
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
    assert_eq!(mailed, Vec::<String>::new());

    for prompt in [
        "Please, could you cancel the room, and then tell john@example.com",
        "1. Pay the invoice\n2. Write to john@example.com that it is paid",
        "Storniere die Buchung und schreib john@example.com, dass sie storniert ist",
        "Lies bitte meine Notizen und schick sie an john@example.com",
        "Reserva una mesa y escribe a john@example.com que está reservada",
        "Annule la commande et dis à john@example.com qu'elle est annulée",
        "Where does john@example.com live?",
        "Save the file. Tell john@example.com that it is saved.",
        "My new email is bob@example.com",
        "Sign kim@example.com up for the newsletter",
        "Give ana@example.com access to the folder",
        "Share the folder with ana@example.com",
        "Reply to the last mail from ana@example.com",
        "Forward the latest mail from bo@example.com to ana@example.com",
        "Resend the invitation to ana@example.com",
        "Archive all mails from ana@example.com",
        "Mark mails from ana@example.com as spam",
        "Write a poem about ana@example.com",
        "Call ana@example.com at noon",
        "Schedule a meeting with ana@example.com on Friday",
        "Pay ana@example.com 20 euros by PayPal",
        "Pick a date that suits everyone and tell ana@example.com",
        "Reply to ana@example.com with what we decided",
        "Answer ana@example.com's question",
        "Tell ana@example.com the answer",
        "Email ana@example.com today's exchange rate",
        "Let ana@example.com know how the match ended",
        "Send ana@example.com directions to the office",
        "Mail lee@example.com the results once you have them",
        "Draft a contract and send it to lee@example.com",
        "Post this on LinkedIn and mail it to lee@example.com",
        "Count the open tickets and email lee@example.com the count",
        "Ask support why my order is late and forward their answer to lee@example.com",
        "The address of kim@example.com is wrong, please correct it",
        "Verify that kim@example.com exists",
        "Use kim@example.com as my login from now on",
        "Extract the dates from the contract and email them to kim@example.com",
        "Did kim@example.com get my mail?",
        "Translate our price list into German and mail it to kim@example.com",
        "Email kim@example.com whatever is left in the budget",
        "Compose something funny for kim@example.com's birthday card",
        "Fill in the form and send it to kim@example.com",
        "Merge the two lists and mail the result to kim@example.com",
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
        "I'm running late, please let john@example.com know",
        "Our train is late, so tell john@example.com that we come at nine",
        "From my work account, email john@example.com that the report is done",
        "Tomorrow is a holiday: tell john@example.com that the office is closed",
        "Thanks a lot! I'd like to thank john@example.com for the flowers",
        "Draft a short email to john@example.com about the picnic",
        "john@example.com: the picnic is at noon",
        "A quick note to john@example.com: the picnic is at noon",
        "Ping john@example.com about the picnic and the cake",
        "Reach out to john@example.com about the offer of his company",
        "Stuur john@example.com een bericht dat ik later kom",
        "Scrivi a john@example.com che arrivo tardi",
        "Wyślij john@example.com wiadomość, że przyjdę później",
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
async fn a_request_that_only_names_what_it_sends_is_asked_what_that_is() {
    let inside = Inside::new(&[]);
    for (prompt, context) in [
        ("Send john@example.com the door code of the office", None),
        ("Please email john@example.com our opening hours", None),
        ("Forward the contract to john@example.com", None),
        ("Let john@example.com know what the repair costs", None),
        ("Schick john@example.com die Teilnehmerliste", None),
        ("Envoie les photos à john@example.com", None),
        ("Send john@example.com the opening hours", Some("We open at nine.")),
    ] {
        inside.model.say(answer(&[action(&["john@example.com"])]));
        let first = inside.plan_with(prompt, context, Vec::new()).await.unwrap().plan;
        if context.is_some() {
            assert_eq!((first.actions.len(), first.questions.len()), (1, 0), "{prompt}");
            continue;
        }
        assert_eq!(first.actions.len(), 0, "{prompt}");
        let [clarification] = first.clarifications.as_slice() else { panic!("{prompt}: {:?}", first.questions) };
        assert_eq!(
            (clarification.text.as_str(), clarification.field.as_deref()),
            ("What should the mail say?", Some("/actions/0/params/text")),
            "{prompt}"
        );

        inside.model.say(answer(&[action(&["john@example.com"])]));
        let value = AnswerValue::Text("Nine to five.".to_owned());
        let answers = vec![GivenAnswer { id: clarification.id.clone(), value }];
        let plan = inside.plan_with(prompt, None, answers).await.unwrap().plan;
        assert_eq!((plan.actions.len(), plan.questions), (1, Vec::new()), "{prompt}");
        assert_eq!(plan.actions[0].params["text"], "Nine to five.", "{prompt}");
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
            "The request asks for something else than I can do, or for more. Should I go ahead with the mail for john@example.com all the same?"
        ]
    );
    for (yes, mails) in [(true, 1), (false, 0)] {
        let given = GivenAnswer { id: asked.clarifications[0].id.clone(), value: AnswerValue::Bool(yes) };
        inside.model.say(answer(&[action(&["john@example.com"])]));
        let plan = inside.plan_with(prompt, None, vec![given]).await.unwrap().plan;
        assert_eq!((plan.actions.len(), plan.questions.len()), (mails, 0), "{yes}: {:?}", plan.notes);
    }
}

#[tokio::test]
async fn requests_for_a_mail_are_told_from_their_neighbours() {
    let inside = Inside::new(&[]);
    for prompt in [
        "Has kim@example.com replied yet?",
        "Swap bob@example.com for bo@example.com in the form",
        "Hide my address bob@example.com from the directory",
        "Link my account to bob@example.com",
        "Please verify bob@example.com",
        "Attach the invoice and email it to bob@example.com",
        "Get the figures from Ana and send them to bob@example.com",
        "Once the build passes, mail bob@example.com",
        "Proofread my letter and send it to bob@example.com",
        "Decide which offer is better and tell bob@example.com",
        "Choose a restaurant and let bob@example.com know",
        "Send bob@example.com the usual",
        "Send bob@example.com what he asked for",
        "Forward bob@example.com my last message from Ana",
        "Email bob@example.com the weather forecast for Rome",
        "Email the forecast for Rome to bob@example.com",
        "Email the guest list to bob@example.com",
        "Mail bob@example.com a list of hotels in Rome",
        "Send bob@example.com an overview of our sales",
        "Message bob@example.com the address of the restaurant",
        "Let bob@example.com know the score",
        "Tell bob@example.com how to reset his password",
        "Explain to bob@example.com how the new process works",
        "Remind bob@example.com of what he promised",
        "Write bob@example.com the answer to his question",
        "Send bob@example.com my availability for next week",
        "Share my location with bob@example.com",
        "Give bob@example.com my phone number",
        "Send bob@example.com the report that Ana made yesterday",
        "Send the photos of the party to bob@example.com and ana@example.com",
        "Send an email to bob@example.com with the results of the survey",
        "Send a mail with the quarterly numbers to bob@example.com",
        "Write a mail to bob@example.com with the list of open issues",
        "Email bob@example.com a summary of the article",
        "Take bob@example.com off the list",
        "Make bob@example.com an admin",
        "Charge bob@example.com for the order",
        "Refund bob@example.com the last payment",
    ] {
        assert!(!is_mailed(&inside, prompt).await, "{prompt}");
    }
    for prompt in [
        "Tell bob@example.com about the picnic",
        "Send bob@example.com an email about the meeting on Friday",
        "Email bob@example.com about the broken printer and ask for help",
        "Wish bob@example.com a happy new year",
        "Congratulate bob@example.com on his new job",
        "Apologize to bob@example.com for the delay",
        "Remind bob@example.com that the rent is due",
        "Remind bob@example.com to bring the keys",
        "Ask bob@example.com whether he has the keys",
        "Ask bob@example.com for the report",
        "Thank bob@example.com for the report",
        "Let bob@example.com know I'm running late and that they should start",
        "Email bob@example.com I can't make it",
        "Email bob@example.com: the picnic is off",
        "Email bob@example.com and ana@example.com that the picnic is off",
        "Send bob@example.com a quick hello",
        "Warn bob@example.com that the road is closed",
        "Can you tell bob@example.com we need to reschedule?",
        "I would like to inform bob@example.com that the order has shipped",
        "Please could you drop a line to bob@example.com to say that I got the parcel",
        "Say happy birthday to bob@example.com and wish him a great day",
        "Send my apologies to bob@example.com",
        "Send bob@example.com my congratulations on the award",
        "Send a thank-you note to bob@example.com for the flowers",
        "Send a reminder to bob@example.com about the dentist on Monday",
        "Write to bob@example.com asking for a copy of the contract",
        "Request a quote from bob@example.com for the roof",
        "Offer bob@example.com the job",
        "Tell my landlord (bob@example.com) the heating is broken",
        "Get in touch with bob@example.com about the apartment, say that I can come on Monday",
        "Message bob@example.com on Outlook that the demo went well",
        "Using Outlook, email bob@example.com with the subject Budget and say the numbers are final",
        "In Outlook, write bob@example.com that I agree",
        "My train is late. Tell bob@example.com to start without me",
        "Because of the storm, tell bob@example.com that we close early",
        "Dear assistant, please email bob@example.com that I am sick",
        "Hi! Could you email bob@example.com? Say that lunch is at noon.",
        "Email bob@example.com. The text: lunch is at noon.",
    ] {
        assert!(is_mailed(&inside, prompt).await, "{prompt}");
    }
}
