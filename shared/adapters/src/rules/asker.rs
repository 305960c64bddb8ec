//! Asks for what a request leaves open, unless the person has answered it.

use domain::{Address, AnswerValue, Answered, ChoiceOption, Question};

/// The questions of a plan, and the person's answers. The engine has checked that each answer can be used.
pub(super) struct Asker<'a> {
    pub answers: &'a [Answered],
    pub questions: Vec<Question>,
}

impl Asker<'_> {
    /// The addresses that a person gave, or none after asking for them.
    pub fn addresses(&mut self, question: Question) -> Option<Vec<Address>> {
        domain::addresses(self.ask(question)?.text()?).ok()
    }

    /// The words that a person gave, which are used as they are.
    pub fn text(&mut self, question: Question) -> Option<String> {
        self.ask(question)?.text().map(str::to_owned)
    }

    /// Yes or no.
    pub fn confirm(&mut self, question: Question) -> Option<bool> {
        self.ask(question).map(|answer| answer.is_yes())
    }

    /// The place of the chosen option. Each is a value with its label.
    pub fn choice(&mut self, question: Question, options: &[(&str, &str)]) -> Option<usize> {
        let option = |(value, label): &(&str, &str)| ChoiceOption { value: (*value).into(), label: (*label).into() };
        let answer = self.ask(Question { options: Some(options.iter().map(option).collect()), ..question })?;
        options.iter().position(|(value, _)| answer.text() == Some(value))
    }

    fn ask(&mut self, question: Question) -> Option<AnswerValue> {
        let given = self.answers.iter().rfind(|answered| answered.question.is_same(&question));
        // Two mails may share a question.
        if given.is_none() && !self.questions.contains(&question) {
            self.questions.push(question);
        }
        given.map(|answered| answered.value.clone())
    }
}
