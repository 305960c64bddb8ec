//! How many tokens a text is at most, for the budget.

use std::sync::{LazyLock, Mutex, PoisonError};

use domain::sha256;
use tiktoken::{CoreBpe, encoding};

/// The tokenizer of OpenAI's models since GPT-4o. Read at first need, which takes a moment.
static O200K: LazyLock<CoreBpe> = LazyLock::new(encoding::o200k_base);
/// The tokenizer of GPT-2: 50,257 tokens, nearly all of them English.
static GPT2: LazyLock<CoreBpe> = LazyLock::new(encoding::r50k_base);

/// Names of models with [`O200K`], each alone or before a hyphen.
const WITH_O200K: &[&str] = &["gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "gpt-oss", "chatgpt-4o", "o1", "o3", "o4"];

/// A model's tokenizer, as far as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tokenizer {
    /// [`O200K`].
    O200k,
    /// Any other.
    Unknown,
}

impl Tokenizer {
    /// The tokenizer of a model, whose name may stand behind its vendor's, as in `openai/gpt-4o-mini` or Bedrock's
    /// `openai.gpt-oss-20b-1:0`.
    pub fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
        let name = name.rsplit("openai.").next().unwrap_or(&name);
        let is = |known: &str| name.strip_prefix(known).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
        if WITH_O200K.iter().any(|known| is(known)) { Self::O200k } else { Self::Unknown }
    }

    /// The most tokens that a text can be.
    ///
    /// Tokenizers in use have at least 32,000 tokens, and make of every language about as many tokens as GPT-2's or
    /// fewer: a fifth more covers them. They differ in what they join, so a digit, a repeated character and one outside
    /// the basic plane count as if nothing joined them. None makes more tokens than bytes.
    pub fn most(self, text: &str) -> u64 {
        let most = match self {
            Self::O200k => O200K.count(text),
            Self::Unknown => {
                let mut before = [None; 3];
                let apart = text.chars().map(|c| {
                    let is_repeated = before == [Some(c); 3];
                    before = [before[1], before[2], Some(c)];
                    if is_repeated || c.is_ascii_digit() || c.len_utf8() == 4 { c.len_utf8() } else { 0 }
                });
                let apart: usize = apart.sum();
                text.len().min((GPT2.count(text) * 6).div_ceil(5) + apart)
            }
        };
        most as u64
    }
}

/// The counts of texts, by their hashes: instructions and schemas are the same from request to request.
#[derive(Default)]
pub(crate) struct Counts(Mutex<Vec<([u8; 32], u64)>>);

/// A shorter text is counted as fast.
const WORTH_KEEPING: usize = 2048;
/// The most counts that are kept.
const MOST_KEPT: usize = 16;

impl Counts {
    /// The count of a text, which is counted if it was not among the last ones.
    pub fn of(&self, text: &str, count: impl FnOnce(&str) -> u64) -> u64 {
        if text.len() < WORTH_KEEPING {
            return count(text);
        }
        let hash = sha256(text.as_bytes());
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = kept().iter().find(|(known, _)| *known == hash) {
            return *known;
        }
        let counted = count(text);
        let mut kept = kept();
        kept.insert(0, (hash, counted));
        kept.truncate(MOST_KEPT);
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokenizer_follows_from_the_models_name() {
        for name in [
            "gpt-4o-mini",
            "gpt-4o",
            "openai/gpt-4o-2024-08-06",
            "GPT-5.1",
            "o3",
            "o4-mini",
            "openai/gpt-oss-20b",
            "openai.gpt-oss-120b-1:0",
            "us.openai.gpt-oss-20b-1:0",
        ] {
            assert_eq!(Tokenizer::of(name), Tokenizer::O200k, "{name}");
        }
        for name in [
            "anthropic.gpt-4o",
            "gpt-4",
            "gpt-4-turbo",
            "gpt-3.5-turbo",
            "local",
            "",
            "o1x",
            "llama-3.3-70b",
            "gpt-4oh",
            "my-gpt-4o",
        ] {
            assert_eq!(Tokenizer::of(name), Tokenizer::Unknown, "{name}");
        }
    }

    /// Counted with the tokenizers named: the worst of Llama 3, Qwen 2, DeepSeek 3, Tekken, GLM 4, Kimi K2, MiniMax M2,
    /// cl100k and Mistral's first, which has 32,000 tokens.
    #[test]
    fn an_unknown_tokenizer_is_bounded_by_the_worst_of_those_in_use() {
        for (text, o200k, worst) in [
            ("Hi John, thanks a lot for the meeting on Tuesday.", 12, 12),
            ("先日の会議ではお時間をいただき、誠にありがとうございました。", 16, 37),
            ("123456789012345678901234567890", 10, 31),
            ("                                ", 1, 3),
            ("🎉🙏🏽👩\u{200d}💻", 10, 21),
            ("Sehr geehrte Frau Müller, vielen Dank für das Gespräch.", 12, 21),
            ("Большое спасибо за встречу на прошлой неделе.", 12, 23),
            ("THANK YOU FOR THE MEETING ON TUESDAY", 10, 12),
            ("9f8e7d6c5b4a3f2e1d0c9f8e7d6c5b4a3f2e1d0c", 40, 41),
            ("감사합니다. 지난주 회의에 시간을 내주셔서", 14, 26),
            ("شكرا جزيلا على الاجتماع في الأسبوع الماضي", 10, 36),
            ("𝐇𝐞𝐥𝐥𝐨", 10, 21),
        ] {
            assert_eq!(Tokenizer::O200k.most(text), o200k, "{text}");
            // Some tokenizers add one for the beginning.
            assert!(Tokenizer::Unknown.most(text) + 1 >= worst, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_counted_once_and_the_last_ones_are_kept() {
        let counts = Counts::default();
        let mut counted = Vec::new();
        let texts: Vec<String> = (0..=MOST_KEPT).map(|n| format!("{n} ").repeat(WORTH_KEEPING)).collect();
        let mut count = |text: &str| {
            counts.of(text, |text| {
                counted.push(text.len());
                text.len() as u64
            })
        };
        for text in ["short", "short", &texts[0], &texts[0], &texts[1], &texts[0]] {
            assert_eq!(count(text), text.len() as u64);
        }
        texts[2..].iter().for_each(|text| assert_eq!(count(text), text.len() as u64));
        let before = texts.len() + 2;
        // The oldest made room for the last.
        count(&texts[1]);
        count(&texts[0]);
        assert_eq!(counted.len(), before + 1);
    }

    #[test]
    fn no_text_is_more_tokens_than_bytes() {
        let letters = ["a", "1", " ", "\n", "=", "aB", "zq", "é", "漢", "🎉", "\u{200d}", "'s", "9.", "<|endoftext|>"];
        for tokenizer in [Tokenizer::O200k, Tokenizer::Unknown] {
            tokenizer.most("");
            for letter in letters {
                let text = letter.repeat(64 * 1024 / letter.len());
                assert!(tokenizer.most(&text) <= text.len() as u64, "{letter:?}");
            }
        }
    }
}
