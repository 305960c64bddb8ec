//! Answers to a plan's questions: from `--answer`, or asked at the terminal.

use std::io::{BufRead, Result, Write};

use serde_json::{Value, json};

use super::print;

/// Parses `ID=VALUE` into an answer as the API takes it. `true` and `false` are a yes and a no, everything else is a text.
pub fn parse(text: &str) -> std::result::Result<Value, &'static str> {
    let (id, value) = text.split_once('=').ok_or("write it as ID=VALUE, with the id that plan printed")?;
    let value = value.parse::<bool>().map_or_else(|_| json!(value), Value::Bool);
    Ok(json!({ "id": id, "value": value }))
}

/// Adds answers. A newer answer to the same question replaces the older one.
pub fn add(answers: &mut Vec<Value>, given: Vec<Value>) {
    answers.retain(|old| !given.iter().any(|new| new["id"] == old["id"]));
    answers.extend(given);
}

/// Asks one question after another. None if an empty line or the end of the input stops it.
pub fn ask(questions: &[Value], input: &mut dyn BufRead, out: &mut dyn Write) -> Result<Option<Vec<Value>>> {
    let mut answers = Vec::new();
    for question in questions {
        print::question(out, question)?;
        let value = loop {
            write!(out, "> ")?;
            out.flush()?;
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 || line.trim().is_empty() {
                return Ok(None);
            }
            match read(question, line.trim()) {
                Ok(value) => break value,
                Err(hint) => writeln!(out, "{hint}")?,
            }
        };
        answers.push(json!({ "id": question["id"], "value": value }));
    }
    Ok(Some(answers))
}

/// The value that a line means; else a hint. The server checks addresses and texts.
fn read(question: &Value, line: &str) -> std::result::Result<Value, &'static str> {
    match question["kind"].as_str() {
        Some("confirm") => match line.to_lowercase().as_str() {
            "y" | "yes" | "true" => Ok(json!(true)),
            "n" | "no" | "false" => Ok(json!(false)),
            _ => Err("Please answer yes or no."),
        },
        Some("choice") => {
            let options = print::list(&question["options"]);
            let by_value = options.iter().find(|option| option["value"] == line);
            let by_number = || line.parse::<usize>().ok()?.checked_sub(1).and_then(|place| options.get(place));
            let chosen = by_value.or_else(by_number).ok_or("Please answer with one of the numbers.")?;
            Ok(chosen["value"].clone())
        }
        _ => Ok(json!(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: &str, value: impl Into<Value>) -> Value {
        json!({ "id": id, "value": value.into() })
    }

    #[test]
    fn an_answer_is_a_text_unless_it_is_true_or_false() {
        assert_eq!(parse("q_1=a=b@example.com"), Ok(answer("q_1", "a=b@example.com")));
        assert_eq!(parse("q_1=false"), Ok(answer("q_1", false)));
        assert_eq!(parse("q_1="), Ok(answer("q_1", "")));
        assert!(parse("maria@example.com").is_err());
    }

    #[test]
    fn a_newer_answer_replaces_the_older_one() {
        let mut answers = vec![answer("q_1", "maria"), answer("q_2", true)];
        add(&mut answers, vec![answer("q_1", "maria@example.com")]);
        assert_eq!(answers, [answer("q_2", true), answer("q_1", "maria@example.com")]);
    }

    #[test]
    fn each_kind_of_question_is_asked_until_its_answer_fits() {
        let options = json!([{ "value": "one", "label": "One mail" }, { "value": "each", "label": "One each" }]);
        let questions = [
            json!({ "id": "q_1", "kind": "address", "text": "What is Maria's address?", "options": null }),
            json!({ "id": "q_2", "kind": "confirm", "text": "Is it meant?", "options": null }),
            json!({ "id": "q_3", "kind": "choice", "text": "One or each?", "options": options }),
        ];
        let (mut input, mut out) = ("maria@example.com\nperhaps\nNo\n3\n2\n".as_bytes(), Vec::new());
        let answers = ask(&questions, &mut input, &mut out).unwrap();
        let expected = vec![answer("q_1", "maria@example.com"), answer("q_2", false), answer("q_3", "each")];
        assert_eq!(answers, Some(expected));
        let shown = String::from_utf8(out).unwrap();
        for text in ["What is Maria's address?\n> ", "Please answer yes or no.\n> ", "  1  One mail\n  2  One each\n> "]
        {
            assert!(shown.contains(text), "{shown}");
        }
        assert_eq!(ask(&questions, &mut "maria@example.com\n\n".as_bytes(), &mut Vec::new()).unwrap(), None);
        assert_eq!(ask(&questions, &mut "".as_bytes(), &mut Vec::new()).unwrap(), None);
    }
}
