//! The words the rules know, in English, German, Spanish and French, folded (lower case, no accents).
//!
//! A phrase is words joined by a space; `~` stands for any pronoun.

use super::{phrases::Phrases, tokens::Token};

/// What a person asks to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// `email …`
    Mail,
    /// `send …`, which takes what is sent and whom to.
    Send,
    /// `write …`
    Write,
    /// `reply …`
    Reply,
    /// `forward …`
    Forward,
    /// `tell …`, `notify …`: what follows the person is the message.
    Tell,
    /// `let … know`
    Let,
    /// `message …`, `ping …`: of a person, or of something else entirely.
    Ping,
    /// `ask …`
    Ask,
    /// `remind …`
    Remind,
    /// `thank …`
    Thank,
    /// `congratulate …`
    Congratulate,
    /// `wish …`
    Wish,
    /// `apologise to …`
    Apologise,
    /// `say … to …`
    Say,
    /// `draft …`: a mail, but not to be sent.
    Draft,
    /// `schedule …`: a mail, but not now.
    Schedule,
    /// `invite …`: a calendar's work.
    Invite,
    /// `To: …`, a mail written as its headers.
    Header,
}

/// Languages whose small words would be mistaken for those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tongue {
    English,
    German,
    /// Spanish and French.
    Romance,
}

static VERBS: [(Verb, Tongue, Phrases); 36] = [
    (Verb::Mail, Tongue::English, Phrases::new("email, mail, emailing, mailing")),
    (Verb::Mail, Tongue::German, Phrases::new("maile, mailen sie")),
    (
        Verb::Send,
        Tongue::English,
        Phrases::new(
            "sending, give, send, resend, shoot, fire off, fire, drop, deliver, dispatch, send out, send off, get a message",
        ),
    ),
    (
        Verb::Send,
        Tongue::German,
        Phrases::new("schicke, schick, schicken sie, sende, senden sie, verschicke, versende"),
    ),
    (
        Verb::Send,
        Tongue::Romance,
        Phrases::new(
            "envia, enviale, enviales, enviar, enviarle, d'envoyer, envie, manda, mandale, mandales, mandar, mandarle, \
        envoie, envoies, envoyer, envoyez, envoie-lui, transmets, transmettre",
        ),
    ),
    (Verb::Write, Tongue::English, Phrases::new("writing, drop in a line, write, compose, type up, write up")),
    (Verb::Write, Tongue::German, Phrases::new("schreibe, schreib, schreiben sie, verfasse")),
    (
        Verb::Write,
        Tongue::Romance,
        Phrases::new(
            "escribe, escribele, escribeles, escribir, escribirle, escriba, ecris, ecrire, d'ecrire, ecrivez, redacta, \
        redige",
        ),
    ),
    (Verb::Reply, Tongue::English, Phrases::new("replying, reply, respond, answer, write back, get back")),
    (Verb::Reply, Tongue::German, Phrases::new("antworte, antworten sie")),
    (
        Verb::Reply,
        Tongue::Romance,
        Phrases::new("responde, respondele, responder, contesta, reponds, repondre, repondez"),
    ),
    (Verb::Forward, Tongue::English, Phrases::new("forward, pass on, relay, pass along, fwd")),
    (Verb::Forward, Tongue::German, Phrases::new("leite")),
    (Verb::Forward, Tongue::Romance, Phrases::new("reenvia, transfere")),
    (
        Verb::Tell,
        Tongue::English,
        Phrases::new("telling, notifying, informing, tell, notify, inform, alert, warn, advise, brief, update, assure"),
    ),
    (
        Verb::Tell,
        Tongue::German,
        Phrases::new(
            "sag, sage, sagen sie, informiere, informieren sie, benachrichtige, benachrichtigen sie, teile, teil, \
        teilen sie, gib, warne",
        ),
    ),
    (
        Verb::Tell,
        Tongue::Romance,
        Phrases::new(
            "dile, diles, di, decir, decirle, avisa, avisale, avisales, avisar, informa, informale, informar, \
        notifica, comunica, comunicale, hazle saber, dis, dites, dire, previens, prevenir, prevenez, \
        informe, informez, informer, d'informer, avertis, avertir, avertissez, signale",
        ),
    ),
    (
        Verb::Let,
        Tongue::English,
        Phrases::new("let, letting, make sure, ensure, see that, see to it that, make sure that, be sure that"),
    ),
    (Verb::Let, Tongue::German, Phrases::new("lass, lasse")),
    (
        Verb::Ping,
        Tongue::English,
        Phrases::new(
            "get in touch with, get hold of, messaging, message, ping, contact, hit up, reach out to, buzz, msg",
        ),
    ),
    (Verb::Ping, Tongue::German, Phrases::new("kontaktiere")),
    (Verb::Ask, Tongue::English, Phrases::new("ask, asking")),
    (Verb::Ask, Tongue::German, Phrases::new("frage, frag, fragen sie")),
    (
        Verb::Ask,
        Tongue::Romance,
        Phrases::new("pregunta, preguntale, pide, pidele, preguntar, demande, demandez, demander"),
    ),
    (Verb::Remind, Tongue::English, Phrases::new("remind, reminding")),
    (Verb::Remind, Tongue::German, Phrases::new("erinnere, erinnern sie")),
    (Verb::Remind, Tongue::Romance, Phrases::new("recuerda, recuerdale, recordar, rappelle, rappelez")),
    (Verb::Thank, Tongue::English, Phrases::new("thank, thanking")),
    (Verb::Congratulate, Tongue::English, Phrases::new("congratulate")),
    (Verb::Wish, Tongue::English, Phrases::new("wish")),
    (Verb::Apologise, Tongue::English, Phrases::new("apologise to, apologize to")),
    (Verb::Say, Tongue::English, Phrases::new("say")),
    (Verb::Draft, Tongue::English, Phrases::new("draft, prepare")),
    (Verb::Draft, Tongue::German, Phrases::new("entwirf")),
    (Verb::Schedule, Tongue::English, Phrases::new("schedule, queue")),
    (Verb::Invite, Tongue::English, Phrases::new("invite")),
];

/// Another request that leaves its verb out.
pub(super) static ANOTHER: Phrases = Phrases::new(
    "another one, another email, another mail, another message, another, a second one, a second email, a \
     second mail, a different one, one more, one, eine weitere, noch eine, eine zweite, eine andere, eine, \
     otro, uno, un autre, une autre, un",
);
pub(super) static MAIL_NOUNS: Phrases = Phrases::new(
    "email, mail, emails, mails, message, messages, note, line, memo, notice, word, msg, reply, answer, \
     response, nachricht, zeile, antwort, correo, mensaje, nota, respuesta, electronico, courriel, mot, \
     courrier, reponse, notification",
);
/// Words that say a mail is meant, wherever in a command they stand.
pub(super) static PLAIN_MAIL_NOUNS: Phrases = Phrases::new("email, mail, emails, correo, courriel");
pub(super) static DETERMINERS: Phrases = Phrases::new(
    "a, an, the, my, our, your, his, her, their, this, these, that, those, some, any, another, all, ein, \
     eine, einen, einem, einer, der, die, das, den, dem, mein, meine, meinen, un, una, el, la, los, las, mi, \
     mis, une, le, les, mon, ma, mes, l, du",
);
pub(super) static ADJECTIVES: Phrases = Phrases::new(
    "short, quick, brief, new, friendly, polite, nice, little, small, kind, formal, simple, single, \
     follow-up, second, further, similar, different, plain, one, kurze, neue, nette, breve, rapido, nuevo, \
     petit, court, rapide, nouveau, electronico",
);
/// Words that change nothing: they may stand anywhere in a command.
pub(super) static SMALL_WORDS: Phrases = Phrases::new(
    "please, kindly, pls, plz, back, again, now, quickly, briefly, immediately, asap, directly, straight, \
     both, also, too, over, out, off, just, today, there, instead, bitte, bescheid, daruber, sofort, jetzt, \
     gleich, auch, wissen, schicken, senden, schreiben, mailen, ahora, tambien, maintenant, aussi, then, \
     politely, kind",
);
/// What may open a request before its verb.
pub(super) static COURTESIES: Phrases = Phrases::new(
    "please, kindly, pls, plz, hi, hello, hey, ok, okay, so, now, then, also, and, but, just, quickly, \
     additionally, next, finally, first, firstly, secondly, second, lastly, afterwards, can you, could you, \
     would you, will you, can u, can we, could we, may i ask you to, would you mind, i want to, i want you \
     to, i need to, i need you to, i would like to, i would like you to, i'd like to, i'd like you to, i'd \
     love to, i have to, i must, i should, we should, we need to, we have to, we must, you should, you must, \
     let's, lets, let us, go ahead and, make sure to, make sure you, be sure to, don't forget to, do not \
     forget to, dont forget to, remember to, help me, help me to, try to, go and, to, today, asap, \
     immediately, right now, right away, be so kind as to, be so kind and, assistant, i wanna, do me a favor \
     and, do me a favour and, it is time to, time to, and then, and also, instead, rather, urgent, urgently, \
     thanks, bitte, kannst du, konntest du, konnen sie, konnten sie, wurdest du, wurden sie, ich mochte, ich \
     will, ich muss, ich wurde gern, vergiss nicht, hallo, dann, danach, auch, und, jetzt, por favor, \
     puedes, podrias, puede, podria, quiero, necesito, quisiera, me gustaria, hola, luego, despues, tambien, \
     y, s'il te plait, s'il vous plait, peux-tu, peux tu, pourrais-tu, pourrais tu, pouvez-vous, \
     pourriez-vous, tu peux, je veux, je voudrais, j'aimerais, merci, merci de, merci d, veuillez, bonjour, salut, \
     puis, ensuite, aussi, et",
);
/// German, which puts the verb of such a request at its end.
pub(super) static VERB_AT_END: Phrases =
    Phrases::new("schicken, senden, schreiben, mailen, mitteilen, sagen, informieren, benachrichtigen");
pub(super) static AND: Phrases = Phrases::new("and, und, y, et, e, plus, sowie");
/// Says that a new request follows, not more of the message before.
pub(super) static NEXT_REQUEST: Phrases = Phrases::new(
    "then, also, additionally, afterwards, next, second, secondly, finally, dann, danach, ausserdem, luego, \
     despues, tambien, puis, ensuite, aussi",
);
pub(super) static SELF: Phrases = Phrases::new("me, us, myself, ourselves, mir, uns, mich, dime, moi, nous");
/// Verbs that make a clause of what would else be a thing: `the demo moved`.
pub(super) static FINITE: Phrases = Phrases::new(
    "is, are, am, was, were, will, won't, has, have, had, can, can't, could, should, would, must, may, \
     might, do, does, did, isn't, aren't, i'm, we're, it's, i'll, we'll, we've, i've, moved, needs, need, \
     works, starts, ends, goes, comes, arrived, failed, closed, closes, opens, got, went, changed, passed, \
     leaves, begins, want, ist, sind, war, wird, werden, hat, haben, kann, muss, es, esta, son, estan, sera, \
     est, sont, seront",
);

/// Before a message.
pub(super) static SAYING: Phrases = Phrases::new(
    "saying, says, that says, which says, and say, to say, say, stating, that states, telling ~, telling ~ \
     that, telling, and tell ~, tell ~, to tell ~, to tell, and let ~ know, let ~ know, to let ~ know, \
     letting ~ know, informing ~, informing ~ that, and inform ~, to inform ~, notifying ~, reading, that \
     reads, to notify ~, explaining, to explain, mentioning, announcing, to announce, confirming, to \
     mention, and mention, and explain, and write, writing, with the words, with the following words, with \
     words, along the lines of, wishing ~, warning ~, with a note saying, with these words, that goes, to \
     the effect that, mit den worten, und sag, und sage, und sag ~, und sage ~, und schreib, und schreibe, \
     in der steht, um zu sagen, um ~ zu sagen, und teile ~ mit, und erklare, diciendo, diciendole, \
     diciendoles, que diga, para decir, para decirle, para decirles, y di, y dile, para informar, para \
     informarle, avisando, avisandole, indicando, con las palabras, informando, explicando, pour dire, pour \
     lui dire, pour leur dire, disant, lui disant, qui dit, et dis, et dis-lui, pour informer, pour \
     l'informer, pour prevenir, pour le prevenir, en disant, indiquant, annoncant, pour annoncer, pour \
     signaler, expliquant",
);
/// Before a message, too, but only once a person or a mail has been named.
pub(super) static THAT: Phrases = Phrases::new("that, dass, que, de que");
/// Names the body. Without a colon or a quotation after it, `true` only with these.
pub(super) static BODY: Phrases = Phrases::new(
    "with the text, with text, and the text, with the message, with message, and the message, with the body, \
     with body, and the body, and body, and text, and message, with the content, with content, with the \
     following text, with the following message, with the following, the text is, the body is, the message \
     is, the text should be, the body should be, the message should be, the text should say, the message \
     should say, it should say, body, mit dem text, mit text, und dem text, und text, mit der nachricht, mit \
     folgendem text, mit dem inhalt, und dem inhalt, con el texto, y el texto, con texto, con el mensaje, y \
     el mensaje, y texto, avec le texte, et le texte, avec texte, avec le message, et le message, et comme \
     texte, avec pour texte",
);
pub(super) static BODY_LABELS: Phrases = Phrases::new(
    "text, message, content, contents, msg, nachricht, inhalt, texto, cuerpo, mensaje, texte, corps, the \
     message, the text, this message, the following message, the following text, this text",
);
pub(super) static ASKING: Phrases = Phrases::new(
    "asking ~, asking, to ask ~, to ask, and ask ~, and ask, ask ~, requesting, to request, and request, \
     inquiring, enquiring, to inquire, to enquire",
);
/// The same where our words around it would be of another language.
pub(super) static ASKING_ELSEWHERE: Phrases = Phrases::new(
    "und frag, und frage, und frag ~, und frage ~, preguntando, preguntandole, para preguntar, para \
     preguntarle, y pregunta, y preguntale, pidiendo, para pedir, pour demander, pour lui demander, \
     demandant, et demande, pour savoir, en demandant",
);
pub(super) static ABOUT: Phrases = Phrases::new(
    "about, regarding, concerning, on the subject of, with regard to, with regards to, in regard to, re, \
     wegen, bezuglich, uber, sobre, acerca de, au sujet de, a propos de, a propos du, concernant, au sujet \
     du",
);
pub(super) static THANKING: Phrases =
    Phrases::new("thanking ~ for, to thank ~ for, and thank ~ for, thanking for, to thank for");
pub(super) static REMINDING: Phrases = Phrases::new("reminding ~, to remind ~, and remind ~, reminding, as a reminder");

pub(super) static SUBJECT: Phrases = Phrases::new(
    "with the subject line, with subject line, with the subject, with subject, with a subject of, with the \
     subject of, with a subject, the subject line is, the subject is, the subject should be, subject line, \
     and subject, and the subject, using the subject, titled, entitled, headed, under the subject, with the \
     title, with title, with the heading, mit dem betreff, mit betreff, mit der betreffzeile, betreff, con \
     el asunto, con asunto, asunto, y asunto, avec l'objet, avec le sujet, avec pour objet, avec comme \
     objet, avec objet, avec sujet, et l'objet",
);
/// A subject only before a colon or a quotation, or once the recipient is known.
pub(super) static SUBJECT_LABELS: Phrases = Phrases::new("subject, title, the subject, re, objet, sujet, l'objet");

pub(super) static CC: Phrases = Phrases::new(
    "cc, cc to, cc'ing, ccing, copy, copying, copy in, copy to, a copy to, with a copy to, with copy to, and \
     a copy to, send a copy to, put in cc, with cc to, with cc, in cc, cced to, carbon copy, kopie an, eine \
     kopie an, mit kopie an, in kopie, in kopie an, cc an, con copia a, con copia para, copia a, cc a, en \
     copie, avec copie a, copie a, avec en copie, mettre en copie, en copia",
);
pub(super) static BCC: Phrases = Phrases::new(
    "bcc, bcc to, bcc'ing, bccing, blind copy, blind-copy, blind copy to, blind carbon copy, with bcc to, \
     with bcc, in bcc, with a blind copy to, a blind copy to, blindkopie an, mit blindkopie an, con copia \
     oculta a, cco, cci",
);
pub(super) static REPLY_TO: Phrases = Phrases::new(
    "reply-to, reply-to address, replies to, replies go to, with replies to, with reply to, with replies \
     going to, answers to, answers go to, replies should go to, answers should go to, responses to, direct \
     replies to, set reply to, set reply-to, the reply-to, the reply to, with reply-to, and reply-to, \
     antworten an, antwort an, antworten gehen an, respuestas a, responder a, con respuesta a, reponses a, \
     repondre a",
);
/// After a list of people: how those are meant.
pub(super) static AFTER_CC: Phrases =
    Phrases::new("in cc, on cc, in copy, on copy, copied, cc'd, cced, as cc, in kopie, en copia, en copie");
pub(super) static AFTER_BCC: Phrases =
    Phrases::new("in bcc, on bcc, as bcc, bcc'd, bcced, blind copied, in blindkopie, en copia oculta");
/// Between a role and its addresses.
pub(super) static ROLE_FILLERS: Phrases = Phrases::new(
    "should, must, is, be, are, go, to, set, as, address, my, the, our, soll, sein, an, a, es, debe, ser, \
     est, also, too, and, at, boss, colleague, in, please",
);

pub(super) static TO: Phrases = Phrases::new("to, for, at, ans, al, para, fur, aux, unto, zu");
/// Prepositions that are other words in English.
pub(super) static TO_GERMAN: Phrases = Phrases::new("an");
pub(super) static TO_ROMANCE: Phrases = Phrases::new("a, con");
pub(super) static FROM: Phrases = Phrases::new("from, as, von, desde, depuis, de");
pub(super) static NOT_TO: Phrases = Phrases::new(
    "not to, but not, but not to, except for, except to, but don't copy, not, except, excluding, without, don't, dont, never, nicht, ausser, ohne, excepto, sin, sauf, pas",
);
pub(super) static NEGATIONS: Phrases = Phrases::new(
    "don't, dont, do not, never, no longer, under no circumstances, stop, cancel, not, nicht, nie, niemals, \
     no, nunca, ne, n'envoie, n'ecris, n'envoyez, avoid, refrain from",
);
pub(super) static QUESTION_WORDS: Phrases = Phrases::new(
    "what, what's, who, who's, whom, whose, when's, where, where's, why, how, which, is, are, was, were, do, \
     does, did, has, have, had, should, shall, may, might, am, wer, was ist, wie, wo, warum, welche, hast, \
     hat, quien, como, donde, por que, cual, qui, comment, pourquoi, ou, quel, quelle, est-ce",
);
pub(super) static CONDITIONS: Phrases = Phrases::new(
    "if, when, whenever, unless, once, as soon as, in case, provided, provided that, after, before, until, \
     only if, depending on, the moment, the next time, next time, every time, each time, should it, should \
     the, as long as, assuming, while, wenn, falls, sobald, sofern, bevor, nachdem, solange, si, cuando, en \
     cuanto, a menos que, despues de que, antes de que, quand, lorsque, des que, s'il, s'ils, a moins que, \
     apres que, avant que",
);
pub(super) static LATER: Phrases = Phrases::new(
    "tomorrow, tonight, later, later today, someday, eventually, soon, daily, weekly, monthly, hourly, \
     regularly, periodically, this evening, this afternoon, this weekend, the day after tomorrow, at the end \
     of the day, first thing, morgen, ubermorgen, spater, heute abend, manana, mas tarde, esta noche, \
     demain, plus tard, ce soir",
);
pub(super) static EVERY: Phrases = Phrases::new(
    "every, each, next, jeden, jede, jedes, nachste, nachsten, cada, todos los, chaque, tous les, toutes les",
);
pub(super) static DAYS: Phrases = Phrases::new(
    "monday, tuesday, wednesday, thursday, friday, saturday, sunday, montag, dienstag, mittwoch, donnerstag, \
     freitag, samstag, sonntag, lunes, martes, miercoles, jueves, viernes, sabado, domingo, lundi, mardi, \
     mercredi, jeudi, vendredi, samedi, dimanche",
);
pub(super) static NUMBERS: Phrases = Phrases::new(
    "one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, twenty, thirty, a, an, half, \
     noon, midnight, zwei, drei, einer, zehn, dos, tres, diez, deux, trois, dix, une",
);
pub(super) static UNITS: Phrases = Phrases::new(
    "second, seconds, minute, minutes, min, hour, hours, day, days, week, weeks, month, months, an hour, \
     minuten, stunde, stunden, tag, tagen, woche, wochen, minutos, hora, horas, dias, heure, heures, jours, \
     semaines",
);

pub(super) static ATTACHING: Phrases = Phrases::new(
    "attach, attached, attaching, attachment, attachments, file, files, pdf, spreadsheet, screenshot, photo, \
     photos, picture, pictures, enclosed, anhang, datei, adjunto, archivo, fichier, piece jointe, image, \
     images, video, zip",
);
pub(super) static FILE_ENDINGS: Phrases =
    Phrases::new("pdf, doc, docx, xls, xlsx, ppt, pptx, zip, txt, csv, png, jpg, jpeg, odt, mp4");
pub(super) static CALENDAR: Phrases = Phrases::new(
    "calendar, calendar invite, invite, calendar invitation, meeting invite, meeting invitation, meeting \
     request, kalendereinladung, appointment",
);
/// Ways and things that are not mail.
pub(super) static NOT_MAIL: Phrases = Phrases::new(
    "slack, teams, whatsapp, sms, tweet, fax, postcard, telegram, signal, discord, text message, letter, \
     instagram, facebook, linkedin, twitter, mastodon, phone, money, dollars, euros, dollar, euro, pounds, \
     bitcoin, payment, flowers, parcel, package, pizza, gift, brief, carta, lettre, channel, poem, story, \
     essay, code, song, joke, robot, drone, link, push notification, voicemail, skype, zoom, matrix, irc",
);
pub(super) static MICROSOFT: Phrases = Phrases::new(
    "outlook, microsoft outlook, ms outlook, microsoft 365, ms 365, microsoft, microsoft office, office 365, \
     office365, o365, m365, hotmail, outlook.com, hotmail.com, microsoft exchange",
);
pub(super) static GOOGLE: Phrases =
    Phrases::new("gmail, google mail, googlemail, google, google workspace, gsuite, g suite, gmail.com");
pub(super) static OTHER_ACCOUNTS: Phrases = Phrases::new(
    "yahoo, yahoo mail, icloud, proton, protonmail, proton mail, apple mail, gmx, thunderbird, aol, zoho, \
     fastmail, web.de, sendgrid, mailchimp, mailgun",
);
/// Before the name of an account.
pub(super) static BY: Phrases = Phrases::new(
    "via, using, use, through, thru, from, in, on, with, by, over, per, open, mit, uber, aus, von, nutze, \
     benutze, verwende, in, con, por, desde, usando, usa, avec, par, depuis, utilise, utilisant, en \
     utilisant, sur, dans, de, vom",
);
pub(super) static OWN: Phrases = Phrases::new(
    "my, the, our, a, an, work, personal, business, private, company, own, meinem, meine, mein, meinen, dem, \
     mi, mon, ma, el, la, le, cuenta, compte, de, account, konto, hotmail's, new",
);
pub(super) static ACCOUNT_NOUNS: Phrases = Phrases::new(
    "account, mail, email, mailbox, address, app, inbox, konto, cuenta, compte, instead, please, client, for \
     this",
);

/// Parts of a day.
pub(super) static DAY_PARTS: Phrases = Phrases::new("morning, afternoon, evening, night, weekend, noon, year, quarter");
/// With which a request is put as a question.
pub(super) static ASKS: Phrases = Phrases::new(
    "can, could, would, will, may, kannst, konntest, konnen, konnten, wurdest, wurden, puedes, podrias, puede, podria, \
     peux-tu, peux, pourrais-tu, pourrais, pouvez-vous, pourriez-vous",
);
/// Verbs that mostly mean something else: only an address, or a mail, makes them ask for one.
pub(super) static MANY_MEANINGS: Phrases = Phrases::new(
    "give, shoot, fire, drop, deliver, dispatch, get, update, advise, brief, assure, alert, warn, gib, teile, teil, signale, \
     di, dis, dire, decir, comunica",
);
/// After `mail` or `email`: what is no person.
pub(super) static MAIL_SYSTEMS: Phrases = Phrases::new(
    "server, servers, client, clients, account, accounts, provider, address, addresses, marketing, settings, etiquette, \
     template, templates, app, inbox, filter, filters, signature",
);
/// Groups of people without an address.
pub(super) static GROUPS: Phrases = Phrases::new("everyone, everybody, all, others, alle, todos, tous, anyone");
/// Things that are words: sending them is saying them.
pub(super) static SPEECH: Phrases = Phrases::new(
    "heads-up, shout, thanks, thank, congratulations, congrats, regards, greetings, wishes, wish, apology, apologies, reminder, condolences, \
     love, summary, minutes, news, hello, sorry, invitation, welcome, agenda",
);
/// What stands for a message that follows.
pub(super) static POINTERS: Phrases = Phrases::new(
    "following, this, that, it, below, text, words, these, folgendes, folgenden, folgende, siguiente, lo, suivant, ceci, ce, qui, suit",
);
/// What an apology, a reminder or thanks go on with.
pub(super) static CONTINUING: Phrases = Phrases::new("for, on, about, fur, por, pour, zum, zur");
/// What somebody is asked for or about.
pub(super) static ASKED_FOR: Phrases =
    Phrases::new("for, whether, if, about, what, when, where, who, how, why, which, what's, permission");
/// May stand between an opener and its message.
pub(super) static CHAIN: Phrases = Phrases::new("that, saying, dass, que, know, know that, following");
/// Before the account, in a sentence of its own.
pub(super) static SEND_IT: Phrases =
    Phrases::new("send it, send this, do it, do this, do so, this, it, send that, send");
/// The second half of `let … know`.
pub(super) static KNOWING: Phrases =
    Phrases::new("know, knows, hear, hears, wissen, is told, is informed, are told, are informed");
/// Between a thing and somebody it is about.
pub(super) static OF: Phrases =
    Phrases::new("of, from, about, by, with, on, than, like, behind, against, called, named, von, de, sobre");
/// The verb at `at`, its language, and how many tokens it takes.
pub(super) fn verb_at(tokens: &[Token], at: usize) -> Option<(Verb, Tongue, usize)> {
    let found = |(verb, tongue, words): &(Verb, Tongue, Phrases)| words.at(tokens, at).map(|n| (*verb, *tongue, n));
    VERBS.iter().filter_map(found).max_by_key(|&(_, _, length)| length)
}

/// Whether a word is part of how a mail is asked for, so that it is nobody's name.
pub(super) fn is_command_word(folded: &str) -> bool {
    let lists = [&TO, &CC, &BCC, &AND, &SMALL_WORDS, &MAIL_NOUNS, &DETERMINERS, &FROM, &COURTESIES, &TO_GERMAN, &BY];
    VERBS.iter().any(|(_, _, words)| words.has_word(folded)) || lists.iter().any(|list| list.has_word(folded))
}
