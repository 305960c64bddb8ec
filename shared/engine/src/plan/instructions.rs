//! What the model is told: the rules, the catalogue, the date. Nothing of the caller's but the time zone.

use std::fmt::Write as _;

use jiff::Zoned;

use crate::ports::Action;

/// The text with its placeholders `{actions}`, `{today}` and `{timezone}`.
const TEMPLATE: &str = include_str!("instructions.txt");

/// The instructions for a model that may plan these actions today.
pub(super) fn instructions(actions: &[&dyn Action], today: &Zoned) -> String {
    let mut list = String::new();
    for action in actions {
        let about = action.about();
        writeln!(list, "- {} (provider {}): {}", about.id, about.provider, about.description)
            .expect("writing to a String does not fail");
    }
    TEMPLATE
        .replace("{actions}", list.trim_end())
        .replace("{today}", &today.strftime("%A, %-d %B %Y").to_string())
        .replace("{timezone}", today.time_zone().iana_name().unwrap_or("UTC"))
}
