#[test]
fn measure() {
    let path = std::env::var("EVAL").unwrap();
    let verbose = std::env::var("V").is_ok();
    let allowed: Vec<domain::ActionId> = vec!["gmail.send".parse().unwrap(), "outlook.send".parse().unwrap()];
    let (mut right, mut n) = (0, 0);
    for line in std::fs::read_to_string(path).unwrap().lines().filter(|l| !l.trim().is_empty()) {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let prompt = case["prompt"].as_str().unwrap();
        let plan = super::plan(prompt, &allowed);
        let got: Vec<_> = plan["actions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| {
                let mut to: Vec<String> = ["to", "cc", "bcc"]
                    .iter()
                    .flat_map(|f| a["params"][f].as_array().cloned().unwrap_or_default())
                    .map(|x| {
                        let s = x.as_str().unwrap().to_owned();
                        s.parse::<domain::Address>().unwrap().addr_spec()
                    })
                    .collect();
                to.sort();
                (a["action"].as_str().unwrap().to_owned(), to)
            })
            .collect();
        let want: Vec<_> = case["actions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| {
                let mut to: Vec<String> =
                    a["to"].as_array().unwrap().iter().map(|x| x.as_str().unwrap().to_owned()).collect();
                to.sort();
                (a["action"].as_str().unwrap().to_owned(), to)
            })
            .collect();
        let kind = if !got.is_empty() {
            "send"
        } else if plan["questions"].as_array().unwrap().is_empty() {
            "none"
        } else {
            "ask"
        };
        let ok = kind == case["expect"].as_str().unwrap() && got == want;
        n += 1;
        right += usize::from(ok);
        if !ok || verbose {
            println!("{} {prompt:?}", if ok { "ok   " } else { "WRONG" });
            for a in plan["actions"].as_array().unwrap() {
                println!("      {} {}", a["action"], a["params"]);
            }
            println!("      q={} n={}", plan["questions"], plan["notes"]);
        }
    }
    println!("{right}/{n}");
}
