//! Reads an action's params, and collects everything that is wrong with them.

use std::{fmt::Display, str::FromStr};

use serde_json::{Map, Value};

use crate::{Address, Ask, Violation, pointer_token};

/// Reads fields and collects their violations. A null field counts as absent.
pub(crate) struct Reader<'a> {
    fields: &'a Map<String, Value>,
    /// The bytes of all texts so far.
    pub(crate) bytes: usize,
    violations: Vec<Violation>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(params: &'a Value) -> Result<Self, Vec<Violation>> {
        match params {
            Value::Object(fields) => Ok(Self { fields, bytes: 0, violations: Vec::new() }),
            _ => Err(vec![Violation::new("", "params must be an object")]),
        }
    }

    pub(crate) fn field(&self, field: &str) -> Option<&'a Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    pub(crate) fn add(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    fn refuse(&mut self, field: &str, detail: &str) {
        self.add(Violation::new(format!("/{field}"), detail));
    }

    pub(crate) fn text(&mut self, field: &str, required: bool) -> Option<String> {
        match self.field(field) {
            Some(Value::String(text)) => {
                self.bytes += text.len();
                return Some(text.clone());
            }
            None if required => self.refuse(field, "is required: a string"),
            None => {}
            Some(_) => self.refuse(field, "must be a string"),
        }
        None
    }

    /// A value that is written as a text; none if it is blank.
    pub(crate) fn value<T: FromStr<Err: Display>>(&mut self, field: &str) -> Option<T> {
        let value = self.field(field).filter(|value| **value != "")?;
        self.parsed(format!("/{field}"), value)
    }

    /// A list of such values.
    pub(crate) fn values<T: FromStr<Err: Display>>(&mut self, field: &str) -> Vec<T> {
        match self.field(field) {
            None => return Vec::new(),
            Some(Value::Array(list)) => {
                let values = list.iter().enumerate();
                return values.filter_map(|(place, value)| self.parsed(format!("/{field}/{place}"), value)).collect();
            }
            Some(_) => self.refuse(field, "must be a list of strings"),
        }
        Vec::new()
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, pointer: String, value: &Value) -> Option<T> {
        self.bytes += value.as_str().map_or(0, str::len);
        let wrong = match value.as_str().map(str::parse) {
            Some(Ok(parsed)) => return Some(parsed),
            Some(Err(why)) => T::Err::to_string(&why),
            None => "must be a string".to_owned(),
        };
        self.add(Violation::new(pointer, wrong));
        None
    }

    /// Addresses, of which there has to be one.
    pub(crate) fn recipients(&mut self, field: &str) -> Vec<Address> {
        let refused = self.violations.len();
        let addresses = self.addresses(field);
        if addresses.is_empty() && self.violations.len() == refused {
            let missing = Violation::new(format!("/{field}"), "is required: one address or a list of 1 to 50");
            self.add(missing.asking(Ask::Recipients));
        }
        addresses
    }

    /// One address or a list. A null, a blank text and an empty list name nobody.
    pub(crate) fn addresses(&mut self, field: &str) -> Vec<Address> {
        let (list, is_list) = match self.field(field) {
            None => (&[][..], true),
            Some(Value::Array(list)) => (list.as_slice(), true),
            Some(one) => (std::slice::from_ref(one), false),
        };
        let mut addresses = Vec::with_capacity(list.len());
        for (place, value) in list.iter().enumerate().filter(|(_, value)| !value.is_null()) {
            let pointer = if is_list { format!("/{field}/{place}") } else { format!("/{field}") };
            let Some(text) = value.as_str() else {
                self.add(Violation::new(pointer, "must be an address, as a string"));
                continue;
            };
            self.bytes += text.len();
            match Address::list(text) {
                Ok(some) => addresses.extend(some),
                // Errors are logged, so `detail` must not contain the address; `named` may.
                Err(invalid) => {
                    let refused = Violation::new(pointer, format!("the address {}", invalid.why()));
                    self.add(refused.naming(invalid.to_string()));
                }
            }
        }
        addresses
    }

    /// Adds the violation of each check that says that something is wrong.
    pub(crate) fn check<const N: usize>(&mut self, checks: [(&str, &str, bool); N]) {
        let wrong = checks.into_iter().filter(|(.., is_wrong)| *is_wrong);
        self.violations.extend(wrong.map(|(pointer, detail, _)| Violation::new(pointer, detail)));
    }

    /// Refuses unknown fields, and gives all violations, if there are any.
    pub(crate) fn finish(mut self, known: &[&str]) -> Result<(), Vec<Violation>> {
        for key in self.fields.keys().filter(|key| !known.contains(&key.as_str())) {
            let says = format!("is not a field of this action; its fields are {}", known.join(", "));
            self.refuse(&pointer_token(key), &says);
        }
        if self.violations.is_empty() { Ok(()) } else { Err(self.violations) }
    }
}
