//! How people ask for mails, and for other things; with the plan in a line each, as `told` writes it.

/// Sentences with what becomes of them.
type Cases = &'static [(&'static str, &'static [&'static str])];

const ASKS: &[&str] = &["ask"];
const NOTHING: &[&str] = &["none"];

pub(super) const SEND: Cases = &[
    (
        "Shoot a quick email over to tom@example.com saying the keys are under the mat",
        &["gmail tom@example.com | The keys are under the mat | The keys are under the mat."],
    ),
    (
        "Could you please let rita@example.org know that the parcel arrived?",
        &["gmail rita@example.org | The parcel arrived | The parcel arrived."],
    ),
    (
        "Inform legal@contoso.com via Outlook that the contract is signed",
        &["outlook legal@contoso.com | The contract is signed | The contract is signed."],
    ),
    (
        "I'd like to send an email to uma@example.com about the offsite: we leave at seven",
        &["gmail uma@example.com | The offsite | We leave at seven."],
    ),
    ("Send happy anniversary to max@example.net", &["gmail max@example.net | Happy anniversary | Happy anniversary."]),
    (
        "write vera@example.com a short note that the printer works again",
        &["gmail vera@example.com | The printer works again | The printer works again."],
    ),
    (
        "Ask noor@example.com whether she can join at five",
        &["gmail noor@example.com | May I ask whether she can join at five | May I ask whether she can join at five?"],
    ),
    (
        "Remind theo@example.com to water the plants",
        &["gmail theo@example.com | Please remember to water the plants | Please remember to water the plants."],
    ),
    (
        "Thank eva@example.com for the flowers",
        &["gmail eva@example.com | Thank you for the flowers | Thank you for the flowers."],
    ),
    (
        "e-mail ines@example.com, raul@example.com & gil@example.com: the call starts at ten",
        &["gmail ines@example.com,raul@example.com,gil@example.com | The call starts at ten | The call starts at ten."],
    ),
    (
        "Send an email to ida@example.com, cc boss@example.com and bcc log@example.com, saying the numbers are in",
        &["gmail ida@example.com cc:boss@example.com bcc:log@example.com | The numbers are in | The numbers are in."],
    ),
    (
        "mail a@example.com yes. Then email b@example.com no",
        &["gmail a@example.com | Yes | Yes.", "gmail b@example.com | No | No."],
    ),
    (
        "Using my Microsoft account, notify crew@example.com that the boat leaves at six",
        &["outlook crew@example.com | The boat leaves at six | The boat leaves at six."],
    ),
    (
        "Tell ola@example.com Outlook is down again",
        &["gmail ola@example.com | Outlook is down again | Outlook is down again."],
    ),
    (
        "Email ola@example.com saying we move everything to Outlook next week",
        &["gmail ola@example.com | We move everything to Outlook next week | We move everything to Outlook next week."],
    ),
    (
        "To: nils@example.com\nSubject: Keys\n\nThey are at the desk.",
        &["gmail nils@example.com | Keys | They are at the desk."],
    ),
    (
        "Send \"See you at noon\" to pia@example.com via outlook",
        &["outlook pia@example.com | See you at noon | See you at noon."],
    ),
    (
        "Drop a line to jan@example.com to say the train is late",
        &["gmail jan@example.com | The train is late | The train is late."],
    ),
    (
        "Don't forget to email quinn@example.com that rent is due",
        &["gmail quinn@example.com | Rent is due | Rent is due."],
    ),
    ("Message lou@example.com that I landed safely", &["gmail lou@example.com | I landed safely | I landed safely."]),
    ("Reply to kit@example.com saying yes, gladly", &["gmail kit@example.com | Yes, gladly | Yes, gladly."]),
    (
        "Email ana@example.com with subject \"Plan B\" and body \"We go with plan B.\"",
        &["gmail ana@example.com | Plan B | We go with plan B."],
    ),
    (
        "Send an email to Lena Kraus <lena@example.de> saying the room is booked",
        &["gmail Lena Kraus <lena@example.de> | The room is booked | The room is booked."],
    ),
    (
        "From my work Outlook, let sal@contoso.com and the list team@contoso.com know lunch is ready",
        &["outlook sal@contoso.com,team@contoso.com | Lunch is ready | Lunch is ready."],
    ),
    (
        "Email amy@example.com and tell her that the shop closes early",
        &["gmail amy@example.com | The shop closes early | The shop closes early."],
    ),
    (
        "Write an email to bo@example.com: the car is fixed. Reply-to should be garage@example.com",
        &["gmail bo@example.com reply_to:garage@example.com | The car is fixed | The car is fixed."],
    ),
    (
        "Hi! Please email finn@example.com that I'm at the door, thanks",
        &["gmail finn@example.com | I'm at the door, thanks | I'm at the door, thanks."],
    ),
    (
        "Send fay@example.com an invitation: come by on Sunday",
        &["gmail fay@example.com | Come by on Sunday | Come by on Sunday."],
    ),
    (
        "Please pass on to rob@example.com that the key is lost",
        &["gmail rob@example.com | The key is lost | The key is lost."],
    ),
    (
        "Send a mail saying the shop is shut to ned@example.com and tess@example.com",
        &["gmail ned@example.com,tess@example.com | The shop is shut | The shop is shut."],
    ),
    (
        "Sende bitte eine Mail an otto@example.de mit dem Betreff Urlaub und dem Text: Ich bin ab Montag weg.",
        &["gmail otto@example.de | Urlaub | Ich bin ab Montag weg."],
    ),
    (
        "Sag karl@example.de über Outlook, dass das Auto fertig ist",
        &["outlook karl@example.de | Das Auto fertig ist | Das Auto fertig ist."],
    ),
    (
        "Kannst du uwe@example.de eine E-Mail schicken, dass der Zug ausfällt?",
        &["gmail uwe@example.de | Der Zug ausfällt | Der Zug ausfällt."],
    ),
    (
        "Manda un mensaje a luis@example.es para decirle que llego tarde",
        &["gmail luis@example.es | Llego tarde | Llego tarde."],
    ),
    (
        "Avisa a rosa@example.es de que la tienda cierra a las ocho",
        &["gmail rosa@example.es | La tienda cierra a las ocho | La tienda cierra a las ocho."],
    ),
    (
        "Envoie un mail à luc@example.fr pour dire que le train est en retard",
        &["gmail luc@example.fr | Le train est en retard | Le train est en retard."],
    ),
    (
        "Préviens zoe@example.fr que la salle est fermée",
        &["gmail zoe@example.fr | La salle est fermée | La salle est fermée."],
    ),
    (
        "Envoie un courriel à guy@example.fr avec l'objet Clés et le texte : elles sont chez moi",
        &["gmail guy@example.fr | Clés | Elles sont chez moi."],
    ),
    (
        "hey can u email greta@example.com and say the dog is fine",
        &["gmail greta@example.com | The dog is fine | The dog is fine."],
    ),
    (
        "I need you to write an email to henrik@example.com explaining that the invoice was paid twice",
        &["gmail henrik@example.com | The invoice was paid twice | The invoice was paid twice."],
    ),
    (
        "New email to paula@example.com. Subject: Holiday. Body: I'm off next week.",
        &["gmail paula@example.com | Holiday | I'm off next week."],
    ),
    (
        "Through Office 365, ping oscar@contoso.com: build 12 is out",
        &["outlook oscar@contoso.com | Build 12 is out | Build 12 is out."],
    ),
    (
        "Would you mind telling wanda@example.com that her order has shipped?",
        &["gmail wanda@example.com | Her order has shipped | Her order has shipped."],
    ),
    (
        "email ivy@example.com with the message 'the gate code is 4411'",
        &["gmail ivy@example.com | The gate code is 4411 | The gate code is 4411."],
    ),
    (
        "Please give carl@example.com the news that we won the bid",
        &["gmail carl@example.com | The news that we won the bid | The news that we won the bid."],
    ),
    (
        "Send an outlook mail to dora@contoso.com, subject \"Rota\", saying Sam covers Tuesday",
        &["outlook dora@contoso.com | Rota | Sam covers Tuesday."],
    ),
    (
        "Let's tell ned@example.com the tickets are sold out and copy box@example.com",
        &["gmail ned@example.com cc:box@example.com | The tickets are sold out | The tickets are sold out."],
    ),
    (
        "Congratulate yuki@example.com on her promotion",
        &["gmail yuki@example.com | Congratulations on her promotion | Congratulations on her promotion."],
    ),
    (
        "Can you ask support@example.com why my account is locked?",
        &["gmail support@example.com | May I ask why my account is locked | May I ask why my account is locked?"],
    ),
    (
        "Make sure elsa@example.com knows that the pool is closed",
        &["gmail elsa@example.com | The pool is closed | The pool is closed."],
    ),
    ("mail to hugo@example.com: back at 4", &["gmail hugo@example.com | Back at 4 | Back at 4."]),
    (
        "Get in touch with rex@example.com by email and say the roof leaks",
        &["gmail rex@example.com | The roof leaks | The roof leaks."],
    ),
    (
        "Send lars@example.com this: dinner at ours on Saturday!",
        &["gmail lars@example.com | Dinner at ours on Saturday | Dinner at ours on Saturday!"],
    ),
    (
        "Email both kai@example.com and liv@example.com to confirm the booking for the 5th",
        &[
            "gmail kai@example.com,liv@example.com | To confirm the booking for the 5th | To confirm the booking for the 5th.",
        ],
    ),
    (
        "Schreib bitte an nina@example.de, dass die Lieferung angekommen ist",
        &["gmail nina@example.de | Die Lieferung angekommen ist | Die Lieferung angekommen ist."],
    ),
    (
        "Escríbele a pablo@example.es que la factura está pagada",
        &["gmail pablo@example.es | La factura está pagada | La factura está pagada."],
    ),
    (
        "Peux-tu écrire à marc@example.fr que la réunion est annulée ?",
        &["gmail marc@example.fr | La réunion est annulée | La réunion est annulée."],
    ),
    (
        "Send an apology to mona@example.com for the late delivery",
        &["gmail mona@example.com | An apology for the late delivery | An apology for the late delivery."],
    ),
    (
        "tell al@example.com I'm in, and tell bea@example.com I'm out",
        &["gmail al@example.com | I'm in | I'm in.", "gmail bea@example.com | I'm out | I'm out."],
    ),
    (
        "Email ola@example.com, with oli@example.com in cc, that the tests pass",
        &["gmail ola@example.com cc:oli@example.com | The tests pass | The tests pass."],
    ),
    (
        "tell ana@example.com that bob@example.com is her new contact",
        &["gmail ana@example.com | bob@example.com is her new contact | bob@example.com is her new contact."],
    ),
    (
        "email ana@example.com: please forward this to bob@example.com",
        &["gmail ana@example.com | Please forward this to bob@example.com | Please forward this to bob@example.com."],
    ),
    (
        "Email ana@example.com saying I sent a copy to bob@example.com",
        &["gmail ana@example.com | I sent a copy to bob@example.com | I sent a copy to bob@example.com."],
    ),
    (
        "Tell ana@example.com the login is via Google and the rest stays",
        &[
            "gmail ana@example.com | The login is via Google and the rest stays | The login is via Google and the rest stays.",
        ],
    ),
    (
        "Send \"use gmail for now\" to ana@contoso.com with Outlook",
        &["outlook ana@contoso.com | Use gmail for now | Use gmail for now."],
    ),
    (
        "Email bob@outlook.com that the file is on the server",
        &["gmail bob@outlook.com | The file is on the server | The file is on the server."],
    ),
    ("Send an email to bob@gmail.com from Outlook saying hello", &["outlook bob@gmail.com | Hello | Hello."]),
    (
        "Send hi to a@example.com; send bye to b@example.com",
        &["gmail a@example.com | Hi | Hi.", "gmail b@example.com | Bye | Bye."],
    ),
    (
        "1. email a@example.com that we start\n2. email b@example.com that we wait",
        &["gmail a@example.com | We start | We start.", "gmail b@example.com | We wait | We wait."],
    ),
    (
        "Send an email to a@example.com.\nSubject: Party\nBody: Saturday at ours",
        &["gmail a@example.com | Party | Saturday at ours."],
    ),
    (
        "email a@example.com: the if-clause in section 4 is wrong",
        &["gmail a@example.com | The if-clause in section 4 is wrong | The if-clause in section 4 is wrong."],
    ),
    (
        "tell a@example.com that if it rains we stay in",
        &["gmail a@example.com | If it rains we stay in | If it rains we stay in."],
    ),
    (
        "email a@example.com saying don't come tomorrow",
        &["gmail a@example.com | Don't come tomorrow | Don't come tomorrow."],
    ),
    (
        "tell a@example.com not to come on Friday",
        &["gmail a@example.com | Please do not come on Friday | Please do not come on Friday."],
    ),
    (
        "Ask a@example.com to send the signed form back by Tuesday",
        &[
            "gmail a@example.com | Please send the signed form back by Tuesday | Please send the signed form back by Tuesday.",
        ],
    ),
    (
        "Send a reminder to a@example.com that the fee is due tomorrow",
        &["gmail a@example.com | The fee is due tomorrow | The fee is due tomorrow."],
    ),
    ("Can you send an email for me to a@example.com saying all good?", &["gmail a@example.com | All good | All good."]),
    (
        "Email a@example.com the following message: 'be there at 9'",
        &["gmail a@example.com | Be there at 9 | Be there at 9."],
    ),
    (
        "Write a mail to a@example.com, b@example.com and c@example.com with subject Tea and text Tea is at four.",
        &["gmail a@example.com,b@example.com,c@example.com | Tea | Tea is at four."],
    ),
    (
        "I want to let a@example.com know about the new opening hours",
        &["gmail a@example.com | About the new opening hours | About the new opening hours."],
    ),
    (
        "email a@example.com - running ten minutes late",
        &["gmail a@example.com | Running ten minutes late | Running ten minutes late."],
    ),
    ("Send a@example.com my regards", &["gmail a@example.com | My regards | My regards."]),
    (
        "send an email to the manager at a@example.com saying the sink leaks",
        &["gmail a@example.com | The sink leaks | The sink leaks."],
    ),
    (
        "Via outlook please write to a@contoso.com and ask for an invoice",
        &["outlook a@contoso.com | May I ask for an invoice | May I ask for an invoice?"],
    ),
    (
        "Teile a@example.de mit, dass wir später kommen",
        &["gmail a@example.de | Wir später kommen | Wir später kommen."],
    ),
    (
        "Gib a@example.de Bescheid, dass der Termin steht",
        &["gmail a@example.de | Der Termin steht | Der Termin steht."],
    ),
    ("Dile a a@example.es que no hay prisa", &["gmail a@example.es | No hay prisa | No hay prisa."]),
    (
        "Écris à a@example.fr qu'il peut venir à midi",
        &["gmail a@example.fr | Il peut venir à midi | Il peut venir à midi."],
    ),
    (
        "Replies should go to desk@example.com; send liz@example.com a mail that we open at nine",
        &["gmail liz@example.com reply_to:desk@example.com | We open at nine | We open at nine."],
    ),
    ("Don't tell ana@example.com, but tell bea@example.com that I left", &["gmail bea@example.com | I left | I left."]),
    (
        "Outlook please: write lia@contoso.com that the audit passed",
        &["outlook lia@contoso.com | The audit passed | The audit passed."],
    ),
    (
        "Informiere bitte kim@example.de, dass der Vertrag da ist, und setze leo@example.de in Kopie",
        &["gmail kim@example.de cc:leo@example.de | Der Vertrag da ist | Der Vertrag da ist."],
    ),
    (
        "Merci d'envoyer un mail à jo@example.fr disant que le colis est arrivé",
        &["gmail jo@example.fr | Le colis est arrivé | Le colis est arrivé."],
    ),
    (
        "Could you notify security@example.com of a lost badge?",
        &["gmail security@example.com | A lost badge | About a lost badge."],
    ),
    (
        "email peg@example.com\n\nHi Peg,\nthe boxes came.\nBest",
        &["gmail peg@example.com | The boxes came | Hi Peg,\nthe boxes came.\nBest"],
    ),
    (
        "Mail a@example.com via outlook saying yes and b@example.com that we won",
        &["outlook a@example.com | Yes and b@example.com that we won | Yes and b@example.com that we won."],
    ),
];

pub(super) const ASK: Cases = &[
    ("email Kim that dinner is ready", ASKS),
    ("Let the landlord know that the heating is broken", ASKS),
    ("Send a message to my dentist saying I need a new slot", ASKS),
    ("Email rob@example", ASKS),
    ("send hello to jim at example dot org", ASKS),
    ("email ana@example.com", ASKS),
    ("Send an email to tim@example.com and Julia saying the party is on", ASKS),
    ("When the backup is done, mail ops@example.com that it worked", ASKS),
    ("Tomorrow at 8 send tess@example.com an email saying good morning", ASKS),
    ("Email zed@example.com every Monday saying please send the numbers", ASKS),
    ("Send report.pdf to lee@example.com", ASKS),
    ("Send the quarterly figures to lee@example.com", ASKS),
    ("Forward the last mail from Joe to kay@example.com", ASKS),
    ("Unless Bob objects, tell sue@example.com that we sell", ASKS),
    ("Send everybody an email that the office is closed", ASKS),
    ("Schick Oma eine Mail, dass ich komme", ASKS),
    ("Escribe a mi jefe que estoy enfermo", ASKS),
    ("Email mia@example.com via gmail and outlook saying hello", ASKS),
    ("Draft an email to mo@example.com saying we accept", ASKS),
    ("Could you email my sister that I landed?", ASKS),
    ("notify all customers about the outage", ASKS),
    ("Send an email to HR saying I'm sick", ASKS),
    ("Once the invoice is paid, thank bill@example.com", ASKS),
    ("in two hours, remind jo@example.com about the call", ASKS),
    ("email uli@example.com the attached photos", ASKS),
    ("Send hi to a@example.com and bye to bob", ASKS),
    ("email a@example.com if the server goes down", ASKS),
    ("let a@example.com know when the build is done", ASKS),
    ("send ana the address of bob@example.com", ASKS),
    ("email my team (ana, bob and joe) that we won", ASKS),
    ("Schedule an email to a@example.com for Monday saying hello", ASKS),
    ("Send a calendar invite to a@example.com for Friday at 3", ASKS),
    ("email me a summary", ASKS),
    ("Send this file to a@example.com", ASKS),
    ("email a@example.com and everyone on my team that we won", ASKS),
    ("notify bob [at] example [dot] com that it is done", ASKS),
    ("send Sam the number of bob@example.com", ASKS),
    ("Email Sam bob@example.com is down", ASKS),
    ("I have to tell my boss, boss@example.com, that I am ill", ASKS),
    ("Tomorrow mail a@example.com that we start and tell b@example.com that we wait", ASKS),
];

pub(super) const NONE: Cases = &[
    ("Don't email ana@example.com", NOTHING),
    ("Never write to bob@example.com again", NOTHING),
    ("Translate this sentence into French", NOTHING),
    ("Is ana@example.com a valid address?", NOTHING),
    ("How do I send an email to ana@example.com?", NOTHING),
    ("Read my latest emails", NOTHING),
    ("Tell me a joke", NOTHING),
    ("Write a poem about the sea", NOTHING),
    ("ana@example.com", NOTHING),
    ("Block spam@example.com", NOTHING),
    ("Send a text message to mom on WhatsApp", NOTHING),
    ("Wie wird das Wetter morgen?", NOTHING),
    ("Borra mis correos", NOTHING),
    ("Set a timer for ten minutes", NOTHING),
    ("I emailed bob@example.com yesterday", NOTHING),
    ("Send 20 dollars to bob@example.com", NOTHING),
    ("", NOTHING),
    ("Summarise my inbox", NOTHING),
    ("Find the email from ana@example.com about the lease", NOTHING),
    ("Remind me to call my mother at six", NOTHING),
    ("Add bob@example.com to my contacts", NOTHING),
    ("What did eve@example.com say in her last message?", NOTHING),
    ("Unsubscribe me from deals@example.com", NOTHING),
    ("Play some jazz", NOTHING),
    ("Stop sending mails to a@example.com", NOTHING),
    ("Delete the email to a@example.com", NOTHING),
    ("Tell me what a@example.com wrote", NOTHING),
    ("Search for a@example.com on Google", NOTHING),
    ("What time is it in Tokyo", NOTHING),
    ("Call bob@example.com", NOTHING),
    ("I love email", NOTHING),
    ("Email is broken", NOTHING),
    ("The mail from a@example.com says hello", NOTHING),
    ("Did you email a@example.com?", NOTHING),
    ("Please do not tell a@example.com that I left", NOTHING),
    ("Message the #random channel that lunch is ready", NOTHING),
    ("Create a document and share it with a@example.com", NOTHING),
    ("Invoice a@example.com for 300 euros", NOTHING),
    ("Let me know if it rains", NOTHING),
    ("Let there be light", NOTHING),
    ("Give a@example.com access to the drive", NOTHING),
    ("Don't email ana@example.com and tell bea@example.com that I left", NOTHING),
    ("Update my profile with the address new@example.com", NOTHING),
    ("Mark the message from lee@example.com as spam", NOTHING),
];
