//! Replays the stored answer of a plan through today's code.

use domain::{Plan, PlanId, RequestHash, WarningCode, WorkspaceId};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Planner,
    record::{Record, not_kept},
};
use crate::Problem;

/// A stored plan beside the plan that today's code, catalogue and settings make of the same answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// The plan's id.
    pub plan_id: PlanId,
    /// The model that answered.
    pub model: String,
    /// The catalogue has changed since then: its actions, or their params.
    pub catalogue_changed: bool,
    /// Where the two differ.
    pub differences: Vec<Difference>,
}

/// A place where two plans differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// A JSON Pointer (RFC 6901) into the plan.
    pub pointer: String,
    /// The stored value; null where there is none.
    pub then: Value,
    /// Today's value.
    pub now: Value,
}

impl Planner {
    /// Runs the stored answer of a plan through today's code. The model is not asked, and nothing is written.
    pub async fn replay(&self, workspace: &WorkspaceId, id: PlanId) -> Result<Replay, Problem> {
        let Record { plan, catalogue, created_at, origin } =
            self.plans.open(workspace, id).await?.ok_or_else(not_kept)?;
        let request = origin.request(created_at);
        // The key that it was planned with is not known any more; what it was told of drafts is.
        let permissions = self.gate.permissions_in(workspace).await?.and_draft_only(plan.draft_only);
        let now = match self.understand(&permissions, request, origin.answer.clone()) {
            Ok(mut draft) => {
                draft.warnings = self.look_over(workspace, None, request, &draft.actions, plan.draft_only).await?;
                without_ids(&draft.with_id(id, &RequestHash::of(request.prompt, request.context), plan.draft_only))
            }
            Err(problem) => json!({ "problem": problem.code.as_str(), "detail": problem.detail }),
        };
        let mut differences = Vec::new();
        compare("", &without_ids(&plan), &now, &mut differences);
        let model = origin.model.clone();
        Ok(Replay {
            plan_id: id,
            model,
            catalogue_changed: !self.catalogue.version().starts_with(&catalogue),
            differences,
        })
    }
}

/// A plan without its ids, which are new each time, and without duplicates, which depend on what went out since.
fn without_ids(plan: &Plan) -> Value {
    let mut plan = plan.clone();
    plan.warnings.retain(|warning| warning.code != WarningCode::Duplicate);
    let mut plan = serde_json::to_value(plan).expect("a plan is always JSON");
    if let Value::Object(fields) = &mut plan {
        fields.shift_remove("plan_id");
        for action in fields.get_mut("actions").and_then(Value::as_array_mut).into_iter().flatten() {
            action.as_object_mut().map(|action| action.shift_remove("client_request_id"));
        }
    }
    plan
}

fn compare(at: &str, then: &Value, now: &Value, found: &mut Vec<Difference>) {
    match (then, now) {
        (Value::Object(old), Value::Object(new)) => {
            for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))) {
                compare(&format!("{at}/{}", domain::pointer_token(key)), &then[key], &now[key], found);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for place in 0..old.len().max(new.len()) {
                compare(&format!("{at}/{place}"), &then[place], &now[place], found);
            }
        }
        _ if then == now => {}
        _ => found.push(Difference { pointer: at.to_owned(), then: then.clone(), now: now.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told_and_where() {
        let then = json!({ "a": 1, "b": [1, { "c/d": null }], "gone": "x" });
        let now = json!({ "b": [1, { "c/d": 2 }, 3], "a": 1 });
        let mut found = Vec::new();
        compare("", &then, &now, &mut found);
        let told: Vec<_> = found.iter().map(|d| (d.pointer.as_str(), d.then.clone(), d.now.clone())).collect();
        let wanted = vec![
            ("/b/1/c~1d", json!(null), json!(2)),
            ("/b/2", json!(null), json!(3)),
            ("/gone", json!("x"), json!(null)),
        ];
        assert_eq!(told, wanted);
        let mut none = Vec::new();
        compare("", &then, &then, &mut none);
        assert!(none.is_empty());
    }
}
